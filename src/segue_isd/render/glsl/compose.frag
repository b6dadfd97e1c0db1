#include "lighting.glsl"
#include "place.glsl"

uniform sampler2D shown, direct, highlight, facing, front_colour, front_normal, front_truth, mirrored;
uniform mat4 projection;
uniform mat4 next_projection;
uniform vec2 size;
layout(location = 0) out vec4 out_colour;   // image, share of foreground
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
    vec3 without = power.w * mix(ambient_up, ambient_down, 0.5 + 0.5 * n.z), glitter = vec3(0.0);
    vec3 with = without * free_sky(at.xyz, n);
    for (int i = 0; i < light_count; i++) {
        vec3 left = light_colour[i].rgb;
        without += left * power[i];
        left *= lit(moving_shadows, i, spot_of(i, at.xyz, n), light_colour[i].w);
        with += left * power[i];
        glitter += left * shine[i];
    }
    vec3 image = image_of(albedo * (with + shine.w) + surface.a * 0.5 * glitter);
    vec2 light = vec2(dot(albedo, (with + shine.w) * LUMA), dot(albedo, (without + shine.w) * LUMA));
    float taken = 1.0 - max(light.x, 1e-6) / max(light.y, 1e-6);
    float marked = 0.0;
    if (way.w > 0.0) {
        vec4 seen = texture(mirrored, gl_FragCoord.xy / size);
        image = mix(image, seen.rgb, way.w);
        if (seen.a * way.w > 0.2) marked = 4096.0;
    }
    out_colour = vec4(mix(image, front.rgb, front.a), front_facing.a);
    vec3 normal = front.a > 0.5 ? front_facing.rgb : 0.5 + 0.5 * (to_camera * n);
    out_normal = vec4(normal, taken * (1.0 - front.a));
    out_truth = texelFetch(front_truth, p, 0);
    if (front.a < 0.5) {
        vec4 later = next_projection * vec4(at.xyz, 1.0), now = projection * vec4(at.xyz, 1.0);
        out_truth = vec4(at.w, marked, 0.5 * size * (later.xy / later.w - now.xy / now.w));
    }
}
