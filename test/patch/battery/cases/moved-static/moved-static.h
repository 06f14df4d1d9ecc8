#include "stage.h"
int count(int by);
int other(int by);
