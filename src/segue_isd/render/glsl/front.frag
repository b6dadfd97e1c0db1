#include "lighting.glsl"
#include "samples.glsl"

uniform MOVING_SAMPLER moving_normal, moving_finish, moving_truth;
uniform float focal;    // in pixels
uniform vec2 size;
layout(location = 0) out vec4 out_colour;   // image, share of what moves
layout(location = 1) out vec4 out_normal;   // normal in camera space, share of foreground
layout(location = 2) out vec4 out_truth;    // distance along the axis, id, flow

void main() {
    ivec2 p = ivec2(gl_FragCoord.xy);
    vec4 shown = vec4(0.0), facing = vec4(0.0), finish = vec4(0.0), truth = vec4(0.0);
    for (int i = 0; i < SAMPLES; i++) shown += texelFetch(moving_shown, p, i);
    if (shown.a == 0.0) discard;
    // Software renderers run what follows a discard, but no loops without rounds.
    int covered = shown.a > 0.0 ? SAMPLES : 0, lights = shown.a > 0.0 ? light_count : 0;
    for (int i = covered - 1; i >= 0; i--) {
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
    for (int i = 0; i < lights; i++) {
        vec2 power = still_light(i, position, n, to_eye);
        vec3 left = light_colour[i].rgb * lit(moving_shadows, i, spot_of(i, position, n), light_colour[i].w);
        light += power.x * left;
        shine += power.y * left;
    }
    vec3 image = image_of(shown.rgb * shown.rgb * (light + 2.0 * finish.y) + finish.x * 0.5 * shine);
    out_colour = vec4(image, shown.a / float(SAMPLES));
    out_normal = vec4(0.5 + 0.5 * seen, facing.a / float(SAMPLES));
    out_truth = truth;
}
