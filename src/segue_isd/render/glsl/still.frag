#include "lighting.glsl"
#include "surface.glsl"

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
