#include "counter.h"
