"""The GLSL programs of the renderer."""

LIGHTS = 3
"""Lights that cast shadows."""
OCCLUDERS = 32
"""Spheres that keep ambient light away."""
REACH = 5.0
"""Radii beyond which a sphere keeps no light away."""

_VERTEX = """
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
"""

SHADOW_VERTEX = (
    _VERTEX
    + """
uniform mat4 projection;
uniform vec4 clip_plane;
invariant gl_Position;
void main() {
    vec4 place = vec4(world(stretch()), 1.0);
    gl_Position = projection * vec4(place.xyz, 1.0);
    gl_ClipDistance[0] = dot(clip_plane, place) - 0.01;
}
"""
)

SHADOW_FRAGMENT = "void main() {}"

SCENE_VERTEX = (
    _VERTEX
    + """
uniform mat4 projection;
uniform mat4 next_projection;
uniform vec4 clip_plane;
invariant gl_Position;
out vec3 position;
out vec3 normal;
out vec2 uv;
out vec3 after;        // where the point will be, homogeneous
out vec3 before;
flat out vec4 look;
flat out vec4 nature;
flat out float mirrors;
void main() {
    vec3 lengths = stretch();
    position = world(lengths);
    gl_Position = projection * vec4(position, 1.0);
    gl_ClipDistance[0] = dot(clip_plane, vec4(position, 1.0)) - 0.01;
    vec4 p = vec4(local(waving.w, lengths), 1.0);
    vec4 later = next_projection * vec4(dot(next0, p), dot(next1, p), dot(next2, p), 1.0);
    after = later.xyw;
    before = gl_Position.xyw;
    vec3 a = vec3(now0.x, now1.x, now2.x), b = vec3(now0.y, now1.y, now2.y), c = vec3(now0.z, now1.z, now2.z);
    vec3 n = local_normal(lengths);
    normal = cross(b, c) * n.x + cross(c, a) * n.y + cross(a, b) * n.z;
    vec2 spread = vec2(1.0);
    if (tiling.x > 0.0) spread = tiling.x * vec2(lengths[int(in_axes.x)], lengths[int(in_axes.y)]);
    if (tiling.x > 0.0 && shape != 0 && shape != 4) spread.x *= 6.2832;
    uv = in_uv * spread + tiling.zw;
    look = tint;
    nature = finish;
    mirrors = mirror;
}
"""
)

LIGHTING = f"""
const int LIGHTS = {LIGHTS};
const int OCCLUDERS = {OCCLUDERS};
const float REACH = {REACH:.1f};
"""

LIGHTING += """
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

vec3 picture_of(vec3 radiance) {
    vec3 c = radiance * exposure * white;
    return sqrt(c * (1.0 + c / 9.0) / (1.0 + c));
}
"""

_SURFACE = """
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
"""

STILL_FRAGMENT = (
    LIGHTING
    + _SURFACE
    + """
layout(location = 0) out vec4 out_shown;      // colour as displayed, gloss
layout(location = 1) out vec4 out_direct;     // light of unit power from each light, openness to the room
layout(location = 2) out vec4 out_highlight;  // of each light; glow
layout(location = 3) out vec4 out_facing;     // normal, mirror share
layout(location = 4) out vec4 out_place;      // place in the world, distance along the axis

void main() {
    vec3 to_eye = normalize(eye - position);
    vec3 n = facing_us(to_eye);
    out_shown = vec4(tinted(), nature.x);
    out_direct = vec4(0.0, 0.0, 0.0, openness());
    out_highlight = vec4(0.0, 0.0, 0.0, nature.y);
    for (int i = 0; i < light_count; i++) {
        vec2 light = still_light(i, position, n, to_eye);
        out_direct[i] = light.x;
        out_highlight[i] = light.y;
    }
    float grazing = pow(1.0 - max(dot(n, to_eye), 0.0), 3.0);
    float share = clamp(mirrors * (0.35 + 0.65 * grazing) + max(mirrors - 0.6, 0.0), 0.0, 0.95);
    out_facing = vec4(n, share);
    out_place = vec4(position, before.z);
}
"""
)

PLACE = """
#if SMOOTH_STILL
uniform sampler2DMS place;
#else
uniform sampler2D place;
#endif
"""

MOVING_FRAGMENT = (
    LIGHTING
    + _SURFACE
    + PLACE
    + """
layout(location = 0) out vec4 out_shown;      // colour as displayed, 1
layout(location = 1) out vec4 out_normal;     // normal in camera space, whether it is foreground
layout(location = 2) out vec4 out_finish;     // gloss, glow, openness to the room, 1
layout(location = 3) out vec4 out_truth;      // distance along the axis, id, flow

void main() {
    float still = texelFetch(place, ivec2(gl_FragCoord.xy), 0).w;
    if (still > 0.0 && before.z > still + fwidth(before.z) + 0.002) discard;
    out_shown = vec4(tinted(), 1.0);
    vec3 n = facing_us(eye - position);
    out_normal = vec4(0.5 + 0.5 * (to_camera * n), nature.w > 0.5 && nature.w < 1000.0 ? 1.0 : 0.0);
    out_finish = vec4(nature.x, 0.5 * nature.y, openness(), 1.0);
    out_truth = vec4(before.z, nature.w, 0.5 * size * (after.xy / after.z - before.xy / before.z));
}
"""
)


def source(body: str, **switches: bool) -> str:
    """A complete program text with its switches as macros of value 0 or 1."""
    lines = "".join(f"#define {name} {int(value)}\n" for name, value in switches.items())
    return f"#version 330\n{lines}{body}"
