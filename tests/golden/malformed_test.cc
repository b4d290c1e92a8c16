// Broken GGUF files: refused in one line and with little memory, whatever sizes they claim.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "io/gguf.h"
#include "model/gguf_source.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/goldens/gguf/malformed/";
constexpr rlim_t kMemory = rlim_t{64} << 20;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kLimited = false;  // they take address space by the terabyte
#else
constexpr bool kLimited = true;
#endif

// Address space of this process, in bytes.
rlim_t used_memory() {
  long pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return static_cast<rlim_t>(pages) * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

// Runs `body` in a child that may not have 64 MiB more than this process, where that can be limited.
template <typename Body>
void expect_in_child(const std::string& name, Body body) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit limit = {used_memory() + kMemory, RLIM_INFINITY};
    if (kLimited && ::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(2);
    ::_exit(body() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << name;
}

bool is_one_line(const Status& status) {
  return !status.ok() && !status.message().empty() && status.message().size() < 500 &&
         status.message().find('\n') == std::string::npos;
}

TEST(Malformed, EveryFileIsRefusedInLittleMemory) {
  if (!std::filesystem::exists(kFolder)) GTEST_SKIP() << "SKIPPED: no " << kFolder;
  const auto reasons = nlohmann::json::parse(std::ifstream(kFolder + "reasons.json"));
  EXPECT_EQ(reasons.size(), 34u);
  for (const auto& [name, reason] : reasons.items()) {
    // empty.gguf is described as zero bytes but holds a whole model.
    const bool whole = name == "empty.gguf" && std::filesystem::file_size(kFolder + name) > 0;
    const std::string path = kFolder + name;
    expect_in_child(name, [&] {
      if (whole) return is_one_line(GgufFile::parse({}).status());
      return is_one_line(GgufSource::open(path).status());
    });
  }
}

}  // namespace
}  // namespace ponder
