// Messages as Anthropic's clients send and read them.
#include "server/anthropic.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/test_server.h"

namespace ponder {
namespace {

Json parsed(const std::string& text) { return Json::parse(text, nullptr, false); }

// The data of each event of a stream; its name must be the data's type.
std::vector<Json> events_of(const std::string& stream) {
  std::vector<Json> out;
  for (size_t at = 0; at < stream.size();) {
    const size_t end = std::min(stream.find("\n\n", at), stream.size());
    std::string one = stream.substr(at, end - at);
    if (one.starts_with("id: ")) one.erase(0, one.find('\n') + 1);  // which nobody needs here
    const size_t line = one.find("\ndata: ");
    EXPECT_TRUE(one.starts_with("event: ") && line != std::string::npos) << one;
    if (line == std::string::npos) break;
    out.push_back(parsed(one.substr(line + 7)));
    EXPECT_EQ(one.substr(7, line - 7), out.back()["type"]);
    at = end + 2;
  }
  return out;
}

std::string ask(const std::string& more) {
  return R"({"messages":[{"role":"user","content":"3+4=?"}],"max_tokens":12,"seed":11)" + more +
         "}";
}

GenerateRequest read(const std::string& text) {
  const Json body = parsed(text);
  Fields fields(body);
  GenerateRequest out;
  read_anthropic(fields, {}, false, out);
  EXPECT_TRUE(fields.ok()) << fields.error().message;
  return out;
}

TEST(Anthropic, AMessageAndTheSameStreamed) {
  TestServer server;
  TestClient client(server.port());
  const TestReply reply = client.post("/v1/messages", ask(""));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_FALSE(reply.headers.at("request-id").empty());
  const Json whole = parsed(reply.body);
  EXPECT_EQ(whole["type"], "message");
  EXPECT_EQ(whole["role"], "assistant");
  EXPECT_TRUE(whole["id"].get<std::string>().starts_with("msg_"));
  EXPECT_EQ(whole["usage"]["output_tokens"].get<int>() > 0, true);
  const std::vector<Json> events =
      events_of(client.post("/v1/messages", ask(R"(,"stream":true)")).body);
  ASSERT_GE(events.size(), 5u);
  EXPECT_EQ(events[0]["type"], "message_start");
  EXPECT_EQ(events[0]["message"]["stop_reason"], nullptr);
  EXPECT_EQ(events[1]["type"], "ping");
  EXPECT_EQ(events[events.size() - 2]["type"], "message_delta");
  EXPECT_EQ(events[events.size() - 2]["delta"]["stop_reason"], whole["stop_reason"]);
  EXPECT_EQ(events[events.size() - 2]["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
  EXPECT_EQ(events.back()["type"], "message_stop");
  Json content = Json::array();
  for (const Json& event : events) {
    if (event["type"] == "content_block_start") {
      EXPECT_EQ(event["index"], content.size());
      content.push_back(event["content_block"]);
    }
    if (event["type"] != "content_block_delta") continue;
    for (const char* field : {"text", "thinking", "signature"}) {
      if (!event["delta"].contains(field)) continue;
      std::string text = content.back()[field].get<std::string>();
      content.back()[field] = text + event["delta"][field].get<std::string>();
    }
  }
  EXPECT_EQ(content, whole["content"]);
}

TEST(Anthropic, BlocksFollowEachOtherInAStream) {
  const std::unique_ptr<ReplyFormat> format = anthropic_reply(100);
  ReplyHead head;
  head.id = "0123";
  format->begin(head);
  AnswerDelta thinking, answer, call, end;
  thinking.thinking = "So";
  answer.content = "I look it up.";
  call.tool_calls = {{"call_1", "weather", R"({"city": "Paris"})"}};
  end.finish = Finish::kToolCalls;
  Usage usage;
  usage.prompt = 10;
  usage.hit = 8;
  std::string out = format->stream_begin() + format->prompt_read(usage);
  for (const AnswerDelta* one : {&thinking, &thinking, &answer, &call, &end}) {
    out += format->delta(*one);
  }
  usage.completion = 5;
  out += format->stream_end(usage);
  std::vector<std::string> kinds;
  const std::vector<Json> events = events_of(out);
  for (const Json& event : events) {
    std::string kind = event["type"];
    if (event.contains("delta") && event["delta"].contains("type")) kind = event["delta"]["type"];
    if (event.contains("index")) kind += event["index"].dump();
    kinds.push_back(kind);
  }
  const std::vector<std::string> wanted = {"message_start",        "ping",
                                           "content_block_start0", "thinking_delta0",
                                           "thinking_delta0",      "signature_delta0",
                                           "content_block_stop0",  "content_block_start1",
                                           "text_delta1",          "content_block_stop1",
                                           "content_block_start2", "input_json_delta2",
                                           "content_block_stop2",  "message_delta",
                                           "message_stop"};
  EXPECT_EQ(kinds, wanted);
  EXPECT_EQ(events[0]["message"]["usage"]["input_tokens"], 2);
  EXPECT_EQ(events[0]["message"]["usage"]["cache_read_input_tokens"], 8);
  EXPECT_EQ(events[0]["message"]["usage"]["output_tokens"], 0);
  EXPECT_EQ(events[10]["content_block"]["name"], "weather");
  EXPECT_EQ(events[11]["delta"]["partial_json"], R"({"city":"Paris"})");
  EXPECT_EQ(events[13]["delta"]["stop_reason"], "tool_use");
  EXPECT_EQ(events[13]["usage"]["input_tokens"], 2);
  EXPECT_EQ(events[13]["usage"]["cache_read_input_tokens"], 8);
}

TEST(Anthropic, WhyAnAnswerEnded) {
  const auto reason = [](Finish finish, const std::string& stopped_by, int64_t tokens) {
    const std::unique_ptr<ReplyFormat> format = anthropic_reply(100);
    AnswerDelta answer;
    answer.content = "x";
    answer.finish = finish;
    answer.stopped_by = stopped_by;
    Usage usage;
    usage.completion = tokens;
    return parsed(format->whole({answer}, usage).body)["stop_reason"].get<std::string>();
  };
  EXPECT_EQ(reason(Finish::kStop, "", 3), "end_turn");
  EXPECT_EQ(reason(Finish::kStop, "END", 3), "stop_sequence");
  EXPECT_EQ(reason(Finish::kLength, "", 100), "max_tokens");
  EXPECT_EQ(reason(Finish::kLength, "", 40), "model_context_window_exceeded");
  EXPECT_EQ(reason(Finish::kToolCalls, "", 3), "tool_use");
}

TEST(Anthropic, BlocksBecomeMessages) {
  const GenerateRequest out = read(R"({"max_tokens":2000,"stop_sequences":["END"],
    "system":[{"type":"text","text":"Be ","cache_control":{"type":"ephemeral"}},{"type":"text","text":"brief."}],
    "thinking":{"type":"enabled","budget_tokens":1024},
    "tools":[{"name":"weather","description":"d","input_schema":{"type":"object"}}],
    "messages":[{"role":"user","content":"Paris?"},
      {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"Wait."},
        {"type":"tool_use","id":"call_1","name":"weather","input":{"city":"Paris"}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"sun"}]},
        {"type":"tool_result","tool_use_id":"call_2","content":"no such city","is_error":true},
        {"type":"text","text":"So?"}]},
      {"role":"assistant","content":"It is"}]})");
  std::vector<std::string> roles;
  for (const InputMessage& message : out.messages) roles.push_back(message.role);
  EXPECT_EQ(roles, (std::vector<std::string>{"system", "user", "assistant", "tool", "tool", "user",
                                             "assistant"}));
  EXPECT_EQ(out.messages[0].content, "Be brief.");
  EXPECT_EQ(out.messages[2].reasoning, "hm");
  EXPECT_EQ(out.messages[2].content, "Wait.");
  EXPECT_EQ(out.messages[2].tool_calls.at(0).arguments, R"({"city":"Paris"})");
  EXPECT_EQ(out.messages[3].tool_call_id, "call_1");
  EXPECT_EQ(out.messages[3].content, "sun");
  EXPECT_EQ(out.messages[4].content, "Error: no such city");
  EXPECT_EQ(out.messages[5].content, "So?");
  EXPECT_TRUE(out.messages[6].prefix);
  EXPECT_FALSE(out.messages[2].prefix);
  EXPECT_EQ(out.think, true);
  EXPECT_EQ(out.thinking_budget, 1024);
  EXPECT_EQ(out.stops, std::vector<std::string>{"END"});
  EXPECT_EQ(parsed(out.tools)[0]["function"]["parameters"]["type"], "object");
  EXPECT_TRUE(out.warnings.empty()) << out.warnings.front();
}

TEST(Anthropic, ErrorsNameTheFieldInAnthropicsShape) {
  TestServer server;
  TestClient client(server.port());
  const std::pair<std::string, const char*> cases[] = {
      {R"({"messages":[{"role":"user","content":"3"}]})", "max_tokens"},
      {R"({"max_tokens":5})", "messages"},
      {R"({"max_tokens":5,"messages":[]})", "messages"},
      {R"({"max_tokens":5,"messages":[{"role":"king","content":"3"}]})", "messages[0].role"},
      {R"({"max_tokens":5,"messages":[{"role":"user"}]})", "messages[0].content"},
      {R"({"max_tokens":5,"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]})",
       "image"},
      {R"({"max_tokens":5,"messages":[{"role":"user","content":[{"type":"tool_use"}]}]})",
       "messages[0].content[0].type"},
      {ask(R"(,"temperature":"hot")"), "temperature"},
      {ask(R"(,"stop_sequences":[1])"), "stop_sequences"},
      {ask(R"(,"thinking":{"type":"enabled"})"), "thinking.budget_tokens"},
      {ask(R"(,"thinking":{"type":"enabled","budget_tokens":12})"), "thinking.budget_tokens"},
      {ask(R"(,"tools":[{"type":"web_search_20250305","name":"web_search"}])"), "tools[0].type"},
      {ask(R"(,"tools":[{"name":"x"}])"), "tools[0].input_schema"},
      {ask(R"(,"tool_choice":{"type":"maybe"})"), "tool_choice.type"},
      {"{", "JSON"},
  };
  for (const auto& [body, named] : cases) {
    const TestReply reply = client.post("/v1/messages", body);
    EXPECT_EQ(reply.status, 400) << body;
    const Json error = parsed(reply.body);
    EXPECT_EQ(error["type"], "error");
    EXPECT_EQ(error["error"]["type"], "invalid_request_error");
    EXPECT_NE(error["error"]["message"].get<std::string>().find(named), std::string::npos)
        << error << " for " << body;
  }
  const TestReply missing = client.post("/v1/messages", ask(R"(,"model":"claude")"));
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(parsed(missing.body)["error"]["type"], "not_found_error");
  EXPECT_EQ(parsed(client.get("/v1/messages/batches").body)["error"]["type"], "not_found_error");
  EXPECT_EQ(anthropic_error(unavailable("later", 5)).status, 529);
}

TEST(Anthropic, TokensAreCountedAsTheyWillBeRead) {
  TestServer server;
  TestClient client(server.port());
  const Json counted = parsed(
      client
          .post("/v1/messages/count_tokens", R"({"messages":[{"role":"user","content":"3+4=?"}]})")
          .body);
  const Json usage = parsed(client.post("/v1/messages", ask("")).body)["usage"];
  EXPECT_EQ(counted["input_tokens"].get<int>(),
            usage["input_tokens"].get<int>() + usage["cache_read_input_tokens"].get<int>());
}

TEST(Anthropic, ModelsByTheVersionHeaderAndKeysInBothPlaces) {
  TestServerOptions options;
  ASSERT_TRUE(options.keys.add("a-long-key", "one").ok());
  TestServer server(std::move(options));
  TestClient client(server.port());
  const std::string version = "anthropic-version: 2023-06-01\r\n";
  const Json list = parsed(client.get("/v1/models", version + "x-api-key: a-long-key\r\n").body);
  EXPECT_EQ(list["data"][0]["type"], "model");
  EXPECT_EQ(list["first_id"], "tiny");
  EXPECT_EQ(list["has_more"], false);
  const std::string bearer = "Authorization: Bearer a-long-key\r\n";
  EXPECT_EQ(parsed(client.get("/v1/models", bearer).body)["object"], "list");
  EXPECT_EQ(parsed(client.get("/v1/models/tiny", version + bearer).body)["id"], "tiny");
  const TestReply none = client.get("/v1/models/none", version + bearer);
  EXPECT_EQ(none.status, 404);
  EXPECT_EQ(parsed(none.body)["type"], "error");
  const TestReply refused = client.post("/v1/messages", ask(""), version);
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(parsed(refused.body)["error"]["type"], "authentication_error");
  EXPECT_EQ(client.post("/v1/messages", ask(""), "x-api-key: a-long-key\r\n").status, 200);
}

TEST(Anthropic, NothingIsIgnoredInSilence) {
  TestServer server;
  TestClient client(server.port());
  const Json body =
      parsed(client.post("/v1/messages", ask(R"(,"wibble":1,"metadata":{"user_id":"u"})")).body);
  ASSERT_EQ(body["warnings"].size(), 1u) << body;
  EXPECT_NE(body["warnings"][0].get<std::string>().find("wibble"), std::string::npos);
}

}  // namespace
}  // namespace ponder
