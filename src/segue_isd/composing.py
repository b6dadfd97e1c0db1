"""The GLSL programs that put still and moving things together, once a pixel.

Light that moving things keep away is looked up only where some can: a first pass marks these pixels in the
depth buffer, and the dear one runs on them alone. What moves is lit here too: its many small triangles would
each cost a whole block of pixels.
"""

from __future__ import annotations

from segue_isd.shaders import LIGHTING, PLACE

GRID = 64
"""Fields along one side of the plans that say where moving things may keep light away."""
FAR, SHADED, FRONT = 0.75, 0.5, 0.25
"""Depths that mark pixels: background as it stands, background that may lack light, and what moves."""

SCREEN_VERTEX = """
in vec2 in_corner;
uniform float level;
void main() { gl_Position = vec4(in_corner, 2.0 * level - 1.0, 1.0); }
"""

_MOVING = """
#if SMOOTH_MOVING
const int SAMPLES = 4;
#define MOVING_SAMPLER sampler2DMS
#else
const int SAMPLES = 1;
#define MOVING_SAMPLER sampler2D
#endif
uniform MOVING_SAMPLER moving_shown;
"""

MARK_FRONT_FRAGMENT = (
    _MOVING
    + """
void main() {
    float some = 0.0;
    for (int i = 0; i < SAMPLES; i++) some += texelFetch(moving_shown, ivec2(gl_FragCoord.xy), i).a;
    if (some == 0.0) discard;
}
"""
)

FRONT_FRAGMENT = (
    LIGHTING
    + _MOVING
    + """
uniform MOVING_SAMPLER moving_normal, moving_finish, moving_truth;
uniform float focal;    // in pixels
uniform vec2 size;
layout(location = 0) out vec4 out_colour;   // picture, share of what moves
layout(location = 1) out vec4 out_normal;   // normal in camera space, share of foreground
layout(location = 2) out vec4 out_truth;    // distance along the axis, id, flow

void main() {
    ivec2 p = ivec2(gl_FragCoord.xy);
    vec4 shown = vec4(0.0), facing = vec4(0.0), finish = vec4(0.0), truth = vec4(0.0);
    for (int i = SAMPLES - 1; i >= 0; i--) {
        shown += texelFetch(moving_shown, p, i);
        facing += texelFetch(moving_normal, p, i);
        finish += texelFetch(moving_finish, p, i);
        vec4 sample_truth = texelFetch(moving_truth, p, i);
        if (sample_truth.x > 0.0) truth = sample_truth;
    }
    vec3 seen = normalize(2.0 * facing.rgb / shown.a - 1.0), n = seen * to_camera;
    finish /= finish.w;
    shown.rgb /= shown.a;
    vec3 ray = vec3((gl_FragCoord.xy - 0.5 * size) / focal, 1.0);
    vec3 position = eye + (truth.x * ray) * to_camera, to_eye = normalize(eye - position);
    vec3 light = finish.z * mix(ambient_up, ambient_down, 0.5 + 0.5 * n.z);
    light *= mix(1.0, free_sky(position, n), 0.35);
    vec3 shine = vec3(0.0);
    for (int i = 0; i < light_count; i++) {
        vec2 power = still_light(i, position, n, to_eye);
        vec3 left = light_colour[i].rgb * lit(moving_shadows, i, spot_of(i, position, n), light_colour[i].w);
        light += power.x * left;
        shine += power.y * left;
    }
    vec3 picture = picture_of(shown.rgb * shown.rgb * (light + 2.0 * finish.y) + finish.x * 0.5 * shine);
    out_colour = vec4(picture, shown.a / float(SAMPLES));
    out_normal = vec4(0.5 + 0.5 * seen, facing.a / float(SAMPLES));
    out_truth = truth;
}
"""
)

MARK_SHADED_FRAGMENT = (
    LIGHTING
    + PLACE
    + f"const int GRID = {GRID};"
    + """
uniform sampler2D direct, facing;
uniform sampler2D plans;    // side by side: a plan for each light, and one of the floor
uniform vec3 room;

bool marked(int plan, vec2 spot) {
    if (any(greaterThan(abs(spot - 0.5), vec2(0.5)))) return false;
    ivec2 field = min(ivec2(spot * float(GRID)), ivec2(GRID - 1));
    return texelFetch(plans, ivec2(plan * GRID + field.x, field.y), 0).r > 0.5;
}

void main() {
    ivec2 p = ivec2(gl_FragCoord.xy);
    vec3 at = texelFetch(place, p, 0).xyz, n = normalize(texelFetch(facing, p, 0).xyz);
    bool near = marked(LIGHTS, clamp(at.xy / room.xy, 0.0, 1.0));  // walls are the border
    vec4 power = texelFetch(direct, p, 0);
    for (int i = 0; i < light_count; i++) near = near || (power[i] > 0.0 && marked(i, spot_of(i, at, n).xy));
    if (!near) discard;
}
"""
)

COMPOSE_FRAGMENT = (
    LIGHTING
    + PLACE
    + """
uniform sampler2D shown, direct, highlight, facing, front_colour, front_normal, front_truth, mirrored;
uniform mat4 projection;
uniform mat4 next_projection;
uniform vec2 size;
layout(location = 0) out vec4 out_colour;   // picture, share of foreground
layout(location = 1) out vec4 out_normal;   // normal in camera space, share of light that foreground takes
layout(location = 2) out vec4 out_truth;    // distance along the axis, id, flow

const vec3 LUMA = vec3(0.3, 0.59, 0.11);

void main() {
    ivec2 p = ivec2(gl_FragCoord.xy);
    vec4 front = texelFetch(front_colour, p, 0), front_facing = texelFetch(front_normal, p, 0);
    vec4 surface = texelFetch(shown, p, 0), power = texelFetch(direct, p, 0);
    vec4 shine = texelFetch(highlight, p, 0), way = texelFetch(facing, p, 0);
    vec4 at = texelFetch(place, p, 0);
    vec3 n = normalize(way.xyz), albedo = surface.rgb * surface.rgb;
    vec3 with = power.w * mix(ambient_up, ambient_down, 0.5 + 0.5 * n.z), glitter = vec3(0.0);
#if SHADED
    vec3 without = with;
    with *= free_sky(at.xyz, n);
#endif
    for (int i = 0; i < light_count; i++) {
        vec3 left = light_colour[i].rgb;
#if SHADED
        without += left * power[i];
        left *= lit(moving_shadows, i, spot_of(i, at.xyz, n), light_colour[i].w);
#endif
        with += left * power[i];
        glitter += left * shine[i];
    }
    vec3 picture = picture_of(albedo * (with + shine.w) + surface.a * 0.5 * glitter);
    float taken = 0.0;
#if SHADED
    vec2 light = vec2(dot(albedo, (with + shine.w) * LUMA), dot(albedo, (without + shine.w) * LUMA));
    taken = 1.0 - light.x / max(light.y, 1e-6);
#endif
    float marked = 0.0;
    if (way.w > 0.0) {
        vec4 seen = texture(mirrored, gl_FragCoord.xy / size);
        picture = mix(picture, seen.rgb, way.w);
        if (seen.a * way.w > 0.2) marked = 4096.0;
    }
    out_colour = vec4(mix(picture, front.rgb, front.a), front_facing.a);
    vec3 normal = front.a > 0.5 ? front_facing.rgb : 0.5 + 0.5 * (to_camera * n);
    out_normal = vec4(normal, taken * (1.0 - front.a));
    out_truth = texelFetch(front_truth, p, 0);
    if (front.a < 0.5) {
        vec4 later = next_projection * vec4(at.xyz, 1.0), now = projection * vec4(at.xyz, 1.0);
        out_truth = vec4(at.w, marked, 0.5 * size * (later.xy / later.w - now.xy / now.w));
    }
}
"""
)
