uniform sampler2DArray textures;
uniform vec3 room;                     // size, one corner in the origin
uniform vec2 size;
in vec3 position;
in vec3 normal;
in vec2 uv;
in vec3 after;
in vec3 before;
flat in vec4 look;
flat in vec4 nature;
flat in float mirrors;

float corner(float distance) { return 1.0 - 0.38 * exp(-max(distance, 0.0) / 0.35); }

float openness() {
    return corner(position.x) * corner(room.x - position.x) * corner(position.y)
         * corner(room.y - position.y) * corner(position.z + 0.15) * corner(room.z - position.z + 0.1);
}

vec3 tinted() {
    vec4 texel = texture(textures, vec3(uv, look.w));
    if (texel.a < 0.5) discard;
    return look.rgb * texel.rgb;
}

vec3 facing_us(vec3 to_eye) {
    vec3 n = normalize(normal);
    return dot(n, to_eye) < 0.0 ? -n : n;
}
