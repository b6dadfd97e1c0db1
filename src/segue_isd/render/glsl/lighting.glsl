uniform int light_count;
uniform mat4 light_projection[LIGHTS];
uniform vec4 light_place[LIGHTS];      // w: 1 a lamp at a place, 0 the sun in a direction
uniform vec4 light_axis[LIGHTS];       // direction, cosine of the cone
uniform vec4 light_colour[LIGHTS];     // power, softness of the shadow in texels
uniform vec3 ambient_up;               // light from below (the floor's) and from above
uniform vec3 ambient_down;
uniform vec4 occluder[OCCLUDERS];
uniform int occluder_count;
uniform float exposure;
uniform vec3 white;
uniform vec3 eye;
uniform mat3 to_camera;
uniform sampler2DShadow still_shadows;
uniform sampler2DShadow moving_shadows;

const vec2 TAPS[4] = vec2[](vec2(-0.94, -0.4), vec2(0.94, -0.77), vec2(-0.09, 0.93), vec2(0.34, 0.29));

float lit(sampler2DShadow shadows, int light, vec3 spot, float softness) {
    vec2 tile = vec2(1.0 / float(LIGHTS), 1.0);
    vec2 texel = 1.0 / vec2(textureSize(shadows, 0));
    vec2 low = vec2(float(light), 0.0) * tile + texel, high = low + tile - 2.0 * texel;
    vec2 middle = (spot.xy + vec2(float(light), 0.0)) * tile;
    float sum = 0.0;
    for (int tap = 0; tap < 4; tap++)
        sum += texture(shadows, vec3(clamp(middle + softness * texel * TAPS[tap], low, high), spot.z));
    return 0.25 * sum;
}

vec3 spot_of(int i, vec3 position, vec3 n) {
    vec4 clip = light_projection[i] * vec4(position + 0.025 * n, 1.0);
    return 0.5 * clip.xyz / clip.w + 0.5;
}

// Light of unit power that comes from light i past everything that stands still, and its highlight.
vec2 still_light(int i, vec3 position, vec3 n, vec3 to_eye) {
    bool lamp = light_place[i].w > 0.5;
    vec3 way = lamp ? light_place[i].xyz - position : -light_axis[i].xyz;
    float d2 = dot(way, way);
    vec3 l = way * inversesqrt(d2);
    float facing = dot(n, l);
    float cone = lamp
        ? smoothstep(light_axis[i].w, mix(light_axis[i].w, 1.0, 0.35), -dot(l, light_axis[i].xyz)) : 1.0;
    vec3 spot = spot_of(i, position, n);
    bool reached = facing > 0.0 && cone > 0.0 && (lamp || all(lessThan(abs(spot - 0.5), vec3(0.5))));
    if (!reached) return vec2(0.0);
    float power = cone * lit(still_shadows, i, spot, light_colour[i].w) / (lamp ? 0.3 + d2 : 1.0);
    return power * vec2(facing, pow(max(dot(n, normalize(l + to_eye)), 0.0), 36.0));
}

float free_sky(vec3 position, vec3 n) {
    float free = 1.0;
    for (int i = 0; i < occluder_count; i++) {
        vec3 way = occluder[i].xyz - position;
        float d2 = dot(way, way), r2 = occluder[i].w * occluder[i].w;
        if (d2 > REACH * REACH * r2) continue;
        float facing = clamp(0.15 + dot(n, way) * inversesqrt(d2), 0.0, 1.0);
        free *= 1.0 - clamp((r2 / max(d2, r2) - 1.0 / (REACH * REACH)) * facing, 0.0, 0.8);
    }
    return free;
}

vec3 image_of(vec3 radiance) {
    vec3 c = radiance * exposure * white;
    return sqrt(c * (1.0 + c / 9.0) / (1.0 + c));
}
