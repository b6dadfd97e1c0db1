in vec4 in_point;      // unit shape; w: 1 at the far end of a tube
in vec3 in_normal;
in vec2 in_uv;
in vec2 in_axes;       // local axes along which the texture runs
in vec4 now0, now1, now2, next0, next1, next2;
in vec4 tint;          // colour, texture layer
in vec4 tiling;        // repeats a metre (0: one to a face), offset
in vec4 finish;        // gloss, glow, taper, id
in vec4 waving;        // amplitude, waves, phase now, phase at the next frame
in float mirror;
uniform int shape;     // a number of Shape

float wave(float u, float phase) {
    return sin(6.2832 * waving.y * u + phase) + 0.4 * sin(15.7 * waving.y * u + 1.7 * phase);
}

vec3 local(float phase, vec3 lengths) {
    vec3 p = in_point.xyz;
    if (shape == 3) {
        float round = 0.5 * (lengths.x + lengths.y) / lengths.z;
        p *= vec3(vec2(in_point.w > 0.5 ? finish.z : 1.0), round * (in_point.w > 0.5 ? finish.z : 1.0));
        p.z += in_point.w;
    }
    if (shape == 4) p.y += waving.x * wave(p.x, phase) * (0.65 - p.z) / max(lengths.y, 1e-6);
    return p;
}

vec3 local_normal(vec3 lengths) {
    if (shape == 3) {
        float round = 0.5 * (lengths.x + lengths.y) / lengths.z;
        bool side = abs(in_normal.z) < 1e-3;
        return vec3(in_normal.xy, side ? 1.0 - finish.z : in_normal.z / round);
    }
    if (shape == 4) {
        float u = in_point.x, e = 0.01;
        float slope = waving.x * (wave(u + e, waving.z) - wave(u - e, waving.z)) / (2.0 * e);
        return vec3(slope * (0.65 - in_point.z) / max(lengths.y, 1e-6), -1.0, 0.0);
    }
    return in_normal;
}

vec3 stretch() {
    return vec3(length(vec3(now0.x, now1.x, now2.x)), length(vec3(now0.y, now1.y, now2.y)),
                length(vec3(now0.z, now1.z, now2.z)));
}

vec3 world(vec3 lengths) {
    vec4 p = vec4(local(waving.z, lengths), 1.0);
    return vec3(dot(now0, p), dot(now1, p), dot(now2, p));
}
