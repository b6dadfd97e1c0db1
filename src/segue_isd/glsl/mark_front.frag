#include "samples.glsl"

void main() {
    float some = 0.0;
    for (int i = 0; i < SAMPLES; i++) some += texelFetch(moving_shown, ivec2(gl_FragCoord.xy), i).a;
    if (some == 0.0) discard;
}
