#include "solid.glsl"

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
