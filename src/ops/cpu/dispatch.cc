#include <cpuid.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "ops/cpu/kernels.h"

namespace ponder {

namespace avx512 {
extern const Kernels kKernels;
}
namespace avx2 {
extern const Kernels kKernels;
}
namespace reference {
extern const Kernels kKernels;
}

namespace {

const Kernels* forced = nullptr;
std::string problem;

// Leaf 1, ECX bit 29. By hand, because clang 14's __builtin_cpu_supports has no name for it.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 29 & 1u) != 0;
}

std::vector<const Kernels*> detect() {
  std::vector<const Kernels*> out;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vnni")) {
    out.push_back(&avx512::kKernels);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c()) {
    out.push_back(&avx2::kKernels);
  }
  out.push_back(&reference::kKernels);
  return out;
}

const Kernels* choose() {
  const std::vector<const Kernels*>& all = available_kernels();
  const char* wanted = std::getenv("PONDER_ISA");
  if (wanted == nullptr || *wanted == '\0') return all.front();
  std::string names;
  for (const Kernels* table : all) {
    if (std::strcmp(table->isa, wanted) == 0) return table;
    names += names.empty() ? table->isa : std::string(", ") + table->isa;
  }
  problem =
      std::string("PONDER_ISA=") + wanted + ": not available here; this machine runs " + names;
  return all.front();
}

const Kernels* chosen() {
  static const Kernels* const table = choose();
  return table;
}

}  // namespace

const std::vector<const Kernels*>& available_kernels() {
  static const std::vector<const Kernels*> all = detect();
  return all;
}

const Kernels& kernels() { return forced != nullptr ? *forced : *chosen(); }

const char* isa_problem() {
  chosen();
  return problem.empty() ? nullptr : problem.c_str();
}

void set_kernels(const Kernels& table) { forced = &table; }

}  // namespace ponder
