in vec2 in_corner;
uniform float level;
void main() { gl_Position = vec4(in_corner, 2.0 * level - 1.0, 1.0); }
