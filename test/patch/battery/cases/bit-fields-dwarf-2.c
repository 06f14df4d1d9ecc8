// Bit-fields move within their unit, as DWARF 2 tells it.
//
// before: "low 5 high 9"
// after: right "low 5 high 9 fixed"
// after -DSWAPPED: refused /struct flags .*its layout changed/
// after -DWIDER: refused /struct flags .*its layout changed/
// flags: -gdwarf-2 -gstrict-dwarf

#include "bit-fields.h"
