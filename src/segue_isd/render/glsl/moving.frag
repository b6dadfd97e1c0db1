#include "lighting.glsl"
#include "surface.glsl"
#include "place.glsl"

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
