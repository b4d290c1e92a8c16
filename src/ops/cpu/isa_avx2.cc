// All kernels for avx2, compiled with that instruction set's flags (ops/CMakeLists.txt). Nothing
// here may call an inline function of a shared header: the linker could pick this copy for the
// whole program.
#include "core/math.h"
#include "ops/cpu/iq_points.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/simd_avx2.h"
#include "quant/iq_grids.h"

namespace ponder::avx2 {

#include "ops/cpu/gemm-inl.h"
#include "ops/cpu/rows-inl.h"
// Uses the two above.
#include "ops/cpu/heads-inl.h"
// Uses all of the above.
#include "ops/cpu/attention-inl.h"
#include "ops/cpu/quant-inl.h"
#include "ops/cpu/weight_panels-inl.h"
// Uses quant-inl.h.
#include "ops/cpu/iq-inl.h"
#include "ops/cpu/table-inl.h"

}  // namespace ponder::avx2
