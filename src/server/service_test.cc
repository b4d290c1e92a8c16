// Routes, keys, origins, and what requests are told that are wrong.
#include "server/service.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/sha256.h"
#include "server/json.h"
#include "server/test_server.h"

namespace ponder {
namespace {

Json body_of(const TestReply& reply) { return Json::parse(reply.body, nullptr, false); }

std::string chat(const std::string& more) {
  return R"({"messages":[{"role":"user","content":"3+4=?"}],"max_tokens":4)" + more + "}";
}

TEST(Service, RoutesAndTheirErrors) {
  TestServer server;
  TestClient client(server.port());
  EXPECT_EQ(client.get("/").status, 200);
  EXPECT_EQ(client.get("/nowhere").status, 404);
  const TestReply wrong = client.get("/v1/chat/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "POST");
  EXPECT_EQ(body_of(client.get("/v1/models"))["data"][0]["id"], "tiny");
  EXPECT_EQ(body_of(client.get("/models"))["data"].size(), 1u);
  EXPECT_EQ(client.get("/v1/models/tiny").status, 200);
  EXPECT_EQ(client.get("/v1/models/deepseek-ai%2FDeepSeek-R1").status, 404);
  const std::string page = client.get("/metrics").body;
  EXPECT_NE(page.find("ponder_http_requests_total{dialect=\"openai\",status=\"404\"}"),
            std::string::npos);
}

TEST(Service, WrongFieldsAreNamed) {
  TestServer server;
  TestClient client(server.port());
  const std::pair<const char*, const char*> cases[] = {
      {R"(,"temperature":"hot")", "temperature"},
      {R"(,"temperature":2.5)", "temperature"},
      {R"(,"n":0)", "n"},
      {R"(,"n":1000)", "n"},
      {R"(,"stop":["a",1])", "stop"},
      {R"(,"stream":"yes")", "stream"},
      {R"(,"stream_options":{"include_usage":1})", "stream_options.include_usage"},
      {R"(,"response_format":{"type":"yaml"})", "response_format.type"},
      {R"(,"response_format":{"type":"json_schema"})", "response_format.json_schema.schema"},
      {R"(,"logit_bias":{"x":1})", "logit_bias"},
      {R"(,"logit_bias":{"99999":1})", ""},
      {R"(,"top_logprobs":2)", "top_logprobs"},
      {R"(,"tools":[{"type":"function"}])", "tools[0]"},
      {R"(,"functions":[])", "functions"},
      {R"(,"reasoning_effort":"heroic")", "reasoning_effort"},
      {R"(,"thinking":{"type":"maybe"})", "thinking.type"},
      {R"(,"guided_regex":"(")", "response_format"},
      {R"(,"guided_regex":"a","guided_json":{})", "guided_regex"},
      {R"(,"model":7)", "model"},
  };
  for (const auto& [more, param] : cases) {
    const TestReply reply = client.post("/v1/chat/completions", chat(more));
    EXPECT_EQ(reply.status, 400) << more << reply.body;
    const Json error = body_of(reply)["error"];
    EXPECT_EQ(error["type"], "invalid_request_error") << more;
    if (*param != 0) {
      EXPECT_EQ(error["param"], param) << more << reply.body;
    }
    EXPECT_FALSE(error["message"].get<std::string>().empty());
  }
  const std::pair<const char*, const char*> messages[] = {
      {R"({})", "messages"},
      {R"({"messages":[]})", "messages"},
      {R"({"messages":{}})", "messages"},
      {R"({"messages":["hi"]})", "messages[0]"},
      {R"({"messages":[{"role":"user"}]})", "messages[0].content"},
      {R"({"messages":[{"role":"king","content":"x"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})",
       "messages[0].content[0].type"},
      {R"({"messages":[{"role":"user","content":5}]})", "messages[0].content"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{}]}]})",
       "messages[0].tool_calls[0].function"},
      {R"({"messages":[{"role":"assistant","content":"1","prefix":true},{"role":"user","content":"3"}]})",
       "messages[0].prefix"},
  };
  for (const auto& [text, param] : messages) {
    const TestReply reply = client.post("/v1/chat/completions", text);
    EXPECT_EQ(reply.status, 400) << text;
    EXPECT_EQ(body_of(reply)["error"]["param"], param) << reply.body;
  }
  for (const char* text : {"", "[]", "{\"a\":", "\x01\x02"}) {
    EXPECT_EQ(client.post("/v1/chat/completions", text).status, 400) << text;
    EXPECT_EQ(client.post("/v1/responses", text).status, 400) << text;
    EXPECT_EQ(client.post("/v1/embeddings", text).status, 400) << text;
    EXPECT_EQ(client.post("/beta/completions", text).status, 400) << text;
  }
  EXPECT_EQ(client.post("/v1/chat/completions", chat("")).status, 200);
}

TEST(Service, NothingIsIgnoredInSilence) {
  TestServer server;
  TestClient client(server.port());
  const Json body =
      body_of(client.post("/v1/chat/completions", chat(R"(,"wibble":1,"best_of":2)")));
  EXPECT_EQ(body["warnings"].size(), 2u) << body;
  const TestReply streamed =
      client.post("/v1/chat/completions", chat(R"(,"wibble":1,"stream":true)"));
  EXPECT_NE(streamed.body.find("unknown field `wibble`"), std::string::npos);
}

TEST(Service, KeysAreAskedForAndHaveScopes) {
  TestServerOptions options;
  const std::string lines = sha256_hex("key-number-one") + " one models=other\n" +
                            sha256_hex("key-number-two") + " two\n" +
                            sha256_hex("key-number-three") + " three expires=2001-01-01\n";
  ASSERT_TRUE(options.keys.add_lines(lines, "keys").ok());
  TestServer server(std::move(options));
  TestClient client(server.port());
  EXPECT_EQ(client.get("/health").status, 200);
  const TestReply none = client.get("/v1/models");
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(none.headers.at("www-authenticate"), "Bearer");
  EXPECT_EQ(client.get("/v1/models", "Authorization: Bearer wrong\r\n").status, 401);
  EXPECT_EQ(client.get("/v1/models", "Authorization: Bearer key-number-three\r\n").status, 401);
  EXPECT_EQ(client.get("/v1/models", "Authorization: Bearer key-number-two\r\n").status, 200);
  EXPECT_EQ(client.get("/v1/models", "x-api-key: key-number-two\r\n").status, 200);
  const std::string one = "Authorization: bearer key-number-one\r\n";
  EXPECT_TRUE(body_of(client.get("/v1/models", one))["data"].empty());
  EXPECT_EQ(client.post("/v1/chat/completions", chat(R"(,"model":"tiny")"), one).status, 404);
  EXPECT_EQ(client.post("/v1/chat/completions", chat(""), one).status, 404);
  EXPECT_EQ(client.get("/metrics", one).status, 403);  // they tell of all models
  EXPECT_EQ(client.get("/metrics", "x-api-key: key-number-two\r\n").status, 200);
  EXPECT_EQ(server.log().find("key-number"), std::string::npos) << "a key in the log";
  EXPECT_NE(server.log().find("\"key\":\"two\""), std::string::npos);
}

TEST(Service, OtherSitesMayNotCall) {
  TestServer server;
  TestClient client(server.port());
  EXPECT_EQ(client.get("/v1/models", "Origin: https://evil.example\r\n").status, 403);
  EXPECT_EQ(client.get("/v1/models", "Origin: http://localhost\r\n").status, 200);  // its own
  for (const char* host : {"evil.example", "127.evil.example", "127.0.0.1.evil.example"}) {
    client.send(std::string("GET /v1/models HTTP/1.1\r\nHost: ") + host + "\r\n\r\n");
    EXPECT_EQ(client.read().status, 403) << host;
  }
  for (const char* host : {"127.0.0.1", "127.9.9.9:80", "localhost", "[::1]:80"}) {
    client.send(std::string("GET /v1/models HTTP/1.1\r\nHost: ") + host + "\r\n\r\n");
    EXPECT_EQ(client.read().status, 200) << host;
  }
  client.send(
      "OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n");
  EXPECT_EQ(client.read().status, 403);

  TestServerOptions options;
  options.service.cors_origins = {"https://good.example"};
  options.service.cors_origins.push_back("http://localhost:*");
  TestServer open(std::move(options));
  TestClient other(open.port());
  EXPECT_EQ(other.get("/v1/models", "Origin: http://localhost:3000\r\n").status, 200);
  EXPECT_EQ(other.get("/v1/models", "Origin: http://localhost.evil\r\n").status, 403);
  const TestReply reply = other.get("/v1/models", "Origin: https://good.example\r\n");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("access-control-allow-origin"), "https://good.example");
  other.send(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: "
      "https://good.example\r\n\r\n");
  const TestReply preflight = other.read();
  EXPECT_EQ(preflight.status, 204);
  EXPECT_NE(preflight.headers.at("access-control-allow-methods").find("POST"), std::string::npos);
}

TEST(Service, AFullQueueSaysSo) {
  TestServerOptions options;
  options.model = tiny_served_model("tiny", 4096);
  options.model.engine.max_batch = options.model.engine.max_queue = 1;
  TestServer server(std::move(options));
  const std::string slow =
      R"({"messages":[{"role":"user","content":"3+4=?"}],"stream":true,"ignore_eos":true})";
  std::vector<std::unique_ptr<TestClient>> clients;
  // The first runs, the second waits, and one of the next is told to come later.
  TestReply last;
  for (int i = 0; i < 8 && last.status != 429; ++i) {
    clients.push_back(std::make_unique<TestClient>(server.port()));
    clients.back()->send(TestClient::request("/v1/chat/completions", slow));
    last = clients.back()->read_head();
  }
  EXPECT_EQ(last.status, 429);
  EXPECT_FALSE(last.headers["retry-after"].empty());
}

TEST(Service, TheSameSeedGivesTheSameAnswerInEveryDialect) {
  TestServer server;
  TestClient client(server.port());
  const std::string same =
      R"({"messages":[{"role":"user","content":"3+4=?"}],"seed":11,"max_tokens":12})";
  const Json openai = body_of(client.post("/v1/chat/completions", same));
  const Json deepseek = body_of(client.post("/chat/completions", same));
  const Json again = body_of(client.post("/v1/chat/completions", same));
  EXPECT_EQ(openai["choices"], again["choices"]);
  EXPECT_EQ(openai["choices"][0]["message"]["content"],
            deepseek["choices"][0]["message"]["content"]);
  EXPECT_EQ(openai["usage"]["completion_tokens"], deepseek["usage"]["completion_tokens"]);
  EXPECT_EQ(deepseek["usage"]["prompt_cache_hit_tokens"].get<int>() +
                deepseek["usage"]["prompt_cache_miss_tokens"].get<int>(),
            deepseek["usage"]["prompt_tokens"].get<int>());
}

}  // namespace
}  // namespace ponder
