#if SMOOTH_STILL
uniform sampler2DMS place;
#else
uniform sampler2D place;
#endif
