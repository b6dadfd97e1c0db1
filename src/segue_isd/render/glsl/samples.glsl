#if SMOOTH_MOVING
const int SAMPLES = 4;
#define MOVING_SAMPLER sampler2DMS
#else
const int SAMPLES = 1;
#define MOVING_SAMPLER sampler2D
#endif
uniform MOVING_SAMPLER moving_shown;
