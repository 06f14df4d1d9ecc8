// Debug information compressed by the assembler.
//
// before: "low 5 high 9"
// after: right "low 5 high 9 fixed"
// after -DSWAPPED: refused /struct flags .*its layout changed/
// flags: -gz=zlib-gnu
// only: gcc

#include "bit-fields.h"
