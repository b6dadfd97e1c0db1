#include "lighting.glsl"
#include "place.glsl"

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
