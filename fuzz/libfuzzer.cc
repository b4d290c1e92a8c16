// What libFuzzer calls, the same for every target.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "fuzz.h"

// The first argument that is an empty directory gets the target's seeds.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  for (const char* argument : std::span(*argv, static_cast<size_t>(*argc)).subspan(1)) {
    std::error_code error;
    if (std::filesystem::is_directory(argument, error) &&
        std::filesystem::is_empty(argument, error)) {
      ponder::plant(argument);
      break;
    }
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ponder::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
