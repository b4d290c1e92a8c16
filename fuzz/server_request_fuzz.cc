// Any method, path, headers and body: the service answers each once, with a status and an error that
// explains itself in one line. The first line is "METHOD PATH", the second the headers, "name:value"
// apart by tabs, the rest the body. No model is loaded: a request that is right ends with 404.
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/file.h"
#include "fuzz.h"
#include "server/service.h"

namespace ponder {
namespace {

class NoModels final : public ModelHost {
 public:
  std::vector<ModelEntry> list() override { return {}; }
  std::vector<ModelEntry> loaded() override { return {}; }
  std::optional<ModelEntry> entry(const std::string& /*name*/) override { return {}; }
  void find(ModelQuery query, std::function<void(Found)> then) override {
    then(not_found("no model is named " + query.name));
  }
};

// Keeps what it is told, and runs posted work when asked.
class RecordingExchange final : public Exchange {
 public:
  explicit RecordingExchange(WebRequest request) : Exchange(std::move(request)) {}
  bool gone() const override { return false; }
  void respond(WebReply reply) override {
    PONDER_CHECK(reply_.status == 0, "answered twice");
    reply_ = std::move(reply);
  }
  void begin_stream(StreamStart /*start*/) override { PONDER_CHECK(false, "there is no model"); }
  void write(std::string_view /*bytes*/) override {}
  void end() override {}
  void cut() override {}
  void post(std::function<void()> work) override { posted_.push_back(std::move(work)); }
  size_t backlog() const override { return 0; }

  const WebReply& finish() {
    while (!posted_.empty()) {
      const std::function<void()> work = std::move(posted_.back());
      posted_.pop_back();
      work();
    }
    on_disconnect = nullptr;
    return reply_;
  }

 private:
  WebReply reply_{0, {}, {}, {}};
  std::vector<std::function<void()>> posted_;
};

std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

constexpr std::string_view kSeeds[] = {
    "POST /v1/chat/completions\nhost:localhost\n"
    R"({"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]}],"temperature":0.5,"stop":["a"],"logit_bias":{"1":2},"response_format":{"type":"json_schema","json_schema":{"schema":{}}},"tools":[{"type":"function","function":{"name":"f"}}],"reasoning_effort":"low","stream":true,"stream_options":{"include_usage":true}})",
    "POST "
    "/v1/"
    "completions\n\n{\"prompt\":[[1,2],\"a\"],\"echo\":true,\"suffix\":\"b\",\"n\":2,\"logprobs\":"
    "3}",
    "POST /v1/responses\n\n"
    R"({"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"reasoning","summary":[{"text":"b"}]},{"type":"function_call","call_id":"1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"1","output":"x"}],"instructions":"i","text":{"format":{"type":"json_schema","schema":{}}},"tools":[{"type":"function","name":"f"}]})",
    "POST /v1/embeddings\n\n{\"input\":[\"a\",[1,2]],\"encoding_format\":\"base64\"}",
    "POST /beta/chat/completions\nauthorization:Bearer x\torigin:http://localhost\n"
    R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","prefix":true}],"thinking":{"type":"enabled","budget_tokens":5}})",
    "GET /v1/models/a%2fb\n\n",
};

}  // namespace

void plant(const std::string& folder) { plant_seeds(folder, kSeeds); }

void run(std::string_view text) {
  static NoModels models;
  static EngineLoop loop(1);
  static Service service({}, {}, models, loop);
  WebRequest request;
  const std::string_view first = take_line(text);
  std::string_view headers = take_line(text);
  const size_t space = std::min(first.find(' '), first.size());
  request.method = first.substr(0, space);
  if (!percent_decode(first.substr(std::min(space + 1, first.size())), request.path)) {
    request.path.clear();
  }
  while (!headers.empty()) {
    const size_t end = std::min(headers.find('\t'), headers.size());
    const std::string_view header = headers.substr(0, end);
    const size_t colon = std::min(header.find(':'), header.size());
    request.headers.emplace_back(header.substr(0, colon),
                                 header.substr(std::min(colon + 1, header.size())));
    headers.remove_prefix(std::min(end + 1, headers.size()));
  }
  request.body = text;
  const auto exchange = std::make_shared<RecordingExchange>(std::move(request));
  service.handle(exchange);
  const WebReply& reply = exchange->finish();
  PONDER_CHECK(reply.status >= 200 && reply.status < 600);
  if (reply.status < 400) return;
  const auto body = nlohmann::json::parse(reply.body, nullptr, false);
  PONDER_CHECK(body.is_object() && body.contains("error"), reply.body);
  const auto& error = body["error"];
  const std::string message = (error.is_object() ? error["message"] : error).get<std::string>();
  PONDER_CHECK(!message.empty() && reply.status != 500, message);
}

}  // namespace ponder
