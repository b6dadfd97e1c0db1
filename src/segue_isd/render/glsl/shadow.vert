#include "solid.glsl"

uniform mat4 projection;
uniform vec4 clip_plane;
invariant gl_Position;
void main() {
    vec4 place = vec4(world(stretch()), 1.0);
    gl_Position = projection * vec4(place.xyz, 1.0);
    gl_ClipDistance[0] = dot(clip_plane, place) - 0.01;
}
