// Debug information with the types in units of their own, in 64-bit DWARF.
//
// before: "low 5 high 9"
// after: right "low 5 high 9 fixed"
// after -DSWAPPED: refused /struct flags .*its layout changed/
// flags: -fdebug-types-section -gdwarf64
// only: gcc

#include "bit-fields.h"
