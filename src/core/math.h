// exp and log in f64 from IEEE additions, multiplications and divisions alone: the same bits on
// every machine and with every libm (glibc picks an fma or a plain variant by CPU, and their last
// bits differ). The error is below one unit in the last place. Not inline: a copy compiled with a
// kernel's instruction-set flags must never be the one that the linker keeps.
#pragma once

#include <span>

namespace ponder {

// e^x. Below about -745.13 the result is 0, above about 709.78 infinity; NaN stays NaN.
double exp_f64(double x);

// Replaces each x by exp_f64(x - shift).
void exp_shifted_f64(std::span<double> values, double shift);

// The natural logarithm. 0 gives minus infinity, negative values and NaN give NaN.
double log_f64(double x);

}  // namespace ponder
