// The fields of requests that are read are those that openapi.json describes.
//
// A field that is null counts as absent, and one that no reader asked for is warned of. So requests that
// have every word of the sources as a null tell which of them are fields.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "server/durable.h"
#include "server/json.h"
#include "server/test_server.h"

namespace ponder {
namespace {

constexpr size_t kAtOnce = 12;  // a reply has 16 warnings at most

bool in_name(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

// String literals that may be names of fields.
void add_words(const std::string& source, std::set<std::string>& out) {
  for (size_t begin = source.find('"'); begin != std::string::npos;
       begin = source.find('"', begin + 1)) {
    size_t end = begin + 1;
    while (end < source.size() && in_name(source[end])) ++end;
    if (end > begin + 1 && end < source.size() && source[end] == '"') {
      out.insert(source.substr(begin + 1, end - begin - 1));
    }
  }
}

std::set<std::string> names_of(const Json& schema) {
  std::set<std::string> out;
  for (const auto& [name, unused] : schema.at("properties").items()) out.insert(name);
  return out;
}

// A request that is answered, and the object in it whose fields are looked at.
struct Asked {
  const char* route;
  std::string body;
  const char* object;  // a JSON pointer into the body
  const char* path;    // how warnings call the object
  const char* schema;  // below /components/schemas
};

const std::string kMessages = R"("messages": [{"role": "user", "content": "3+4="}])",
                  kChat = "{" + kMessages + R"(, "max_tokens": 1)",
                  kOllama = R"({"model": "tiny", "stream": false, "options": {"num_predict": 1})",
                  kTools = R"("tools": [{"name": "f", "input_schema": {"type": "object"}}])";
const Asked kAsked[] = {
    {"/v1/chat/completions", kChat + "}", "", "", "ChatRequest"},
    {"/v1/chat/completions", kChat + "}", "/messages/0", "messages[0].", "ChatMessage"},
    {"/v1/chat/completions", kChat + R"(, "reasoning": {}})", "/reasoning", "reasoning.",
     "Reasoning"},
    {"/v1/chat/completions", kChat + R"(, "structured_outputs": {}})", "/structured_outputs",
     "structured_outputs.", "StructuredOutputs"},
    {"/chat/completions", kChat + "}", "", "", "ChatRequest"},
    {"/v1/completions", R"({"prompt": "3+4=", "max_tokens": 1})", "", "", "CompletionRequest"},
    {"/v1/responses", R"({"input": "3+4=", "max_tokens": 1})", "", "", "ResponsesRequest"},
    {"/v1/embeddings", R"({"input": "3+4="})", "", "", "EmbeddingRequest"},
    {"/v1/messages", kChat + "}", "", "", "MessagesRequest"},
    {"/v1/messages", kChat + R"(, "thinking": {"type": "disabled"}})", "/thinking", "thinking.",
     "MessagesRequest/properties/thinking"},
    {"/v1/messages", kChat + R"(, "output_config": {}})", "/output_config", "output_config.",
     "MessagesRequest/properties/output_config"},
    {"/v1/messages/count_tokens", kChat + ", " + kTools + "}", "/tools/0", "tools[0].",
     "CountTokensRequest/properties/tools/items"},
    {"/v1/messages/count_tokens",
     kChat + ", " + kTools + R"(, "tool_choice": {"type": "tool", "name": "f"}})", "/tool_choice",
     "tool_choice.", "CountTokensRequest/properties/tool_choice"},
    {"/v1/messages/count_tokens", kChat + "}", "", "", "CountTokensRequest"},
    {"/api/chat", kOllama + ", " + kMessages + "}", "", "", "OllamaChatRequest"},
    {"/api/chat", kOllama + ", " + kMessages + "}", "/options", "options.", "OllamaOptions"},
    {"/api/generate", kOllama + R"(, "prompt": "3+4="})", "", "", "OllamaGenerateRequest"},
    {"/api/embed", R"({"model": "tiny", "input": "3+4="})", "", "", "OllamaEmbedRequest"},
    {"/completion", R"({"prompt": "3+4=", "n_predict": 1})", "", "", "LlamaCompletionRequest"},
    {"/tokenize", R"({"content": "3+4="})", "", "", "LlamaTokenizeRequest"},
    {"/detokenize", R"({"tokens": [5]})", "", "", "LlamaDetokenizeRequest"},
    {"/apply-template", "{" + kMessages + "}", "", "", "LlamaTemplateRequest"},
};

class OpenApiFields : public testing::Test {
 protected:
  OpenApiFields() : described_(Json::parse(openapi_text())["components"]["schemas"]) {
    for (const auto& entry : std::filesystem::directory_iterator(PONDER_SOURCE_DIR "/src/server")) {
      const std::string name = entry.path().filename();
      if (!name.ends_with(".cc") || name.ends_with("_test.cc")) continue;
      std::ifstream file(entry.path());
      add_words({std::istreambuf_iterator<char>(file), {}}, words_);
    }
    add_words(std::string(openapi_text()), words_);
  }

  // The words that `asked` reads from its object.
  std::set<std::string> read_by(const Asked& asked) {
    const Json whole = Json::parse(asked.body);
    const Json::json_pointer at(asked.object);
    std::set<std::string> out;
    for (auto word = words_.begin(); word != words_.end();) {
      Json body = whole;
      std::vector<std::string> tried;
      for (; word != words_.end() && tried.size() < kAtOnce; ++word) {
        tried.push_back(*word);
        if (!body[at].contains(*word)) body[at][*word] = nullptr;
      }
      const TestReply reply = client_.post(asked.route, dump(body));
      EXPECT_EQ(reply.status, 200) << asked.route << ": " << reply.body;
      const Json answer = Json::parse(reply.body, nullptr, false);
      const std::string warnings = answer.contains("warnings") ? dump(answer["warnings"]) : "";
      for (std::string& name : tried) {
        const std::string unknown = "unknown field `" + (asked.path + name) + "` was ignored";
        if (warnings.find(unknown) == std::string::npos) out.insert(std::move(name));
      }
    }
    return out;
  }

  const Json described_;
  std::set<std::string> words_;
  TestServer server_;
  TestClient client_{server_.port()};
};

TEST_F(OpenApiFields, AreThoseThatAreRead) {
  ASSERT_GT(words_.size(), 300u);
  for (const Asked& asked : kAsked) {
    const std::set<std::string> here = read_by(asked),
                                there = names_of(described_.at(
                                    Json::json_pointer(std::string("/") + asked.schema)));
    std::vector<std::string> missing, invented;
    std::set_difference(here.begin(), here.end(), there.begin(), there.end(),
                        std::back_inserter(missing));
    std::set_difference(there.begin(), there.end(), here.begin(), here.end(),
                        std::back_inserter(invented));
    EXPECT_EQ(missing, std::vector<std::string>())
        << asked.route << " reads them from " << (*asked.path != '\0' ? asked.path : "its request")
        << ", and " << asked.schema << " in openapi.json lacks them";
    EXPECT_EQ(invented, std::vector<std::string>())
        << asked.schema << " in openapi.json has them, and " << asked.route
        << " does not read them";
  }
}

// The small model's vocabulary has no marks for it, so that /infill answers nothing here.
TEST_F(OpenApiFields, OfInfillAreThoseOfCompletionAndItsOwn) {
  std::set<std::string> wanted = names_of(described_["LlamaCompletionRequest"]);
  wanted.insert({"input_prefix", "input_suffix", "input_extra"});
  EXPECT_EQ(names_of(described_["LlamaInfillRequest"]), wanted);
}

// `/models`, or `/models/NAME` where the description has /models/{model}.
TEST(OpenApi, RoutesAreInTheDocument) {
  std::ifstream file(PONDER_SOURCE_DIR "/docs/api.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}},
      table = text.substr(text.find("## Routes"), text.find("## Chat") - text.find("## Routes"));
  const Json described = Json::parse(openapi_text());
  for (const auto& [path, unused] : described["paths"].items()) {
    const size_t brace = path.find('{');
    size_t at = std::string::npos;
    for (const char* before : {"`", " "}) {  // `GET /x`, `/y`
      if (at != std::string::npos) break;
      at = table.find(before + path.substr(0, brace) + (brace == std::string::npos ? "`" : ""));
    }
    EXPECT_NE(at, std::string::npos) << "docs/api.md lacks " << path;
  }
}

}  // namespace
}  // namespace ponder
