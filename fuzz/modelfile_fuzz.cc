// Any text as a Modelfile; what is accepted must survive being written and read again.
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/file.h"
#include "fuzz.h"
#include "hub/modelfile.h"

namespace ponder {
namespace {

constexpr std::string_view kSeeds[] = {
    "# comment\nFROM ./model.gguf\nPARAMETER temperature 0.6\nPARAMETER stop \"<end> \"\nparameter "
    "num_ctx 4096\nTEMPLATE \"\"\"{{ .System }}\n\"{{ .Prompt }}\"\n\"\"\"\nSYSTEM You are "
    "brief.\n",
    "FROM deepseek-r1:8b\r\nLICENSE \"two\r\nlines\"\r\nMESSAGE user hello\r\nMESSAGE assistant "
    "\"\"\"ha\"\"\"\r\nRENDERER r\nPARSER p\nREQUIRES 0.1\nPARAMETER use_mmap true\n",
};

}  // namespace

void plant(const std::string& folder) { plant_seeds(folder, kSeeds); }

void run(std::string_view text) {
  const auto file = Modelfile::parse(text);
  if (!file.ok()) return check_message(file.status());
  const auto parameters = parameters_to_json(file->parameters);
  PONDER_CHECK(parameters.ok(), "parse() has checked them");
  const auto written = file->to_text();
  if (!written.ok()) return check_message(written.status());
  const auto again = Modelfile::parse(*written);
  PONDER_CHECK(again.ok(), again.status().message() + *written);
  PONDER_CHECK(*again == *file, *written);
}

}  // namespace ponder
