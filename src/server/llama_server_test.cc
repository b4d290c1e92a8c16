// llama-server's routes as its clients use them.
#include "server/llama_server.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/test_server.h"

namespace ponder {
namespace {

Json parsed(const std::string& text) { return Json::parse(text, nullptr, false); }

std::string ask(const std::string& more) {
  return R"({"prompt":"3+4=","n_predict":6,"seed":11)" + more + "}";
}

TEST(LlamaServer, ACompletionAndTheSameStreamed) {
  TestServer server;
  TestClient client(server.port());
  const TestReply reply = client.post("/completion", ask(R"(,"return_tokens":true)"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json whole = parsed(reply.body);
  EXPECT_EQ(whole["stop"], true);
  EXPECT_EQ(whole["prompt"], "3+4=");
  EXPECT_EQ(whole["truncated"], false);
  EXPECT_EQ(whole["generation_settings"]["seed"], 11);
  EXPECT_FALSE(whole["tokens"].empty());
  EXPECT_FALSE(whole.contains("completion_probabilities"));
  EXPECT_EQ(whole["timings"]["predicted_n"], whole["tokens_predicted"]);
  const std::string stream = client.post("/completion", ask(R"(,"stream":true)")).body;
  EXPECT_EQ(stream.find("[DONE]"), std::string::npos);
  std::string content;
  Json tokens = Json::array(), last;
  for (size_t at = stream.find("data: "); at != std::string::npos;) {
    const size_t end = stream.find('\n', at);
    last = parsed(stream.substr(at + 6, end - at - 6));
    content += last["content"].get<std::string>();
    for (const Json& id : last["tokens"]) tokens.push_back(id);
    at = stream.find("data: ", end);
  }
  EXPECT_EQ(content, whole["content"]);
  EXPECT_EQ(tokens, whole["tokens"]);
  EXPECT_EQ(last["stop"], true);
  EXPECT_EQ(last["stop_type"], whole["stop_type"]);
  EXPECT_EQ(last["tokens_predicted"], whole["tokens_predicted"]);
}

TEST(LlamaServer, PromptsOfEveryKind) {
  TestServer server;
  TestClient client(server.port());
  const std::string text = parsed(client.post("/completion", ask("")).body)["content"];
  const Json ids =
      parsed(client.post("/tokenize", R"({"content":"3+4=","add_special":true})").body)["tokens"];
  const auto with = [&](const std::string& prompt) {
    return parsed(
        client.post("/completion", R"({"prompt":)" + prompt + R"(,"n_predict":6,"seed":11})").body);
  };
  EXPECT_EQ(with(ids.dump())["content"], text);
  Json mixed = ids;
  mixed.erase(mixed.size() - 1);
  mixed.push_back("=");
  EXPECT_EQ(with(mixed.dump())["content"], text);
  const Json several = with(R"(["3+4=",)" + ids.dump() + "]");
  ASSERT_EQ(several.size(), 2u) << several;
  EXPECT_EQ(several[0]["content"], text);
  EXPECT_EQ(several[1]["index"], 1);
}

TEST(LlamaServer, ProbabilitiesAndBias) {
  TestServer server;
  TestClient client(server.port());
  const Json whole =
      parsed(client.post("/completion", ask(R"(,"n_probs":3,"temperature":0)")).body);
  const Json& list = whole["completion_probabilities"];
  ASSERT_FALSE(list.empty());
  EXPECT_EQ(list[0]["top_logprobs"].size(), 3u);
  EXPECT_EQ(list[0]["top_logprobs"][0]["id"], list[0]["id"]);
  const std::string id = list[0]["id"].dump();
  const Json other =
      parsed(client
                 .post("/completion",
                       ask(R"(,"n_probs":3,"temperature":0,"logit_bias":[[)" + id + ",false]]"))
                 .body);
  EXPECT_NE(other["completion_probabilities"][0]["id"], list[0]["id"]);
}

TEST(LlamaServer, OneConstraintHoldsTheAnswer) {
  TestServer server;
  TestClient client(server.port());
  const Json body =
      parsed(client.post("/completion", ask(R"(,"grammar":"root ::= \"7\" \"5\"")")).body);
  EXPECT_EQ(body["content"], "75");
  EXPECT_EQ(body["stop_type"], "eos");
}

TEST(LlamaServer, TokensThereAndBack) {
  TestServer server;
  TestClient client(server.port());
  const Json tokens =
      parsed(client.post("/tokenize", R"({"content":"3+4=?","with_pieces":true})").body)["tokens"];
  ASSERT_EQ(tokens.size(), 5u);
  EXPECT_EQ(tokens[1]["piece"], "+");
  Json ids = Json::array();
  for (const Json& token : tokens) ids.push_back(token["id"]);
  const TestReply back = client.post("/detokenize", R"({"tokens":)" + ids.dump() + "}");
  EXPECT_EQ(parsed(back.body)["content"], "3+4=?");
  EXPECT_EQ(parsed(client.post("/tokenize", R"({"content":""})").body)["tokens"], Json::array());
  const std::string prompt =
      parsed(client.post("/apply-template", R"({"messages":[{"role":"user","content":"3+4=?"}]})")
                 .body)["prompt"];
  EXPECT_NE(prompt.find("3+4=?"), std::string::npos);
}

TEST(LlamaServer, WhatIsWrongAndWhatIsNotOffered) {
  TestServer server;
  TestClient client(server.port());
  const std::pair<const char*, std::string> cases[] = {
      {"/completion", R"({})"},
      {"/completion", R"({"prompt":[]})"},
      {"/completion", R"({"prompt":{}})"},
      {"/completion", R"({"prompt":["a",{}]})"},
      {"/completion", R"({"prompt":[99999]})"},
      {"/completion", ask(R"(,"n_predict":0)")},
      {"/completion", ask(R"(,"n_probs":-1)")},
      {"/completion", ask(R"(,"logit_bias":[["x",1]])")},
      {"/completion", ask(R"(,"grammar":"root ::= (")")},
      {"/infill", R"({"input_prefix":"3"})"},
      {"/infill", R"({"input_prefix":"3","input_suffix":"4"})"},  // no such tokens
      {"/tokenize", R"({})"},
      {"/tokenize", R"({"content":{"a":1}})"},
      {"/detokenize", R"({"tokens":[99999]})"},
      {"/detokenize", R"({"tokens":"a"})"},
      {"/apply-template", R"({"messages":[]})"},
  };
  for (const auto& [path, body] : cases) {
    const TestReply reply = client.post(path, body);
    EXPECT_EQ(reply.status, 400) << path << body << reply.body;
    const Json error = parsed(reply.body)["error"];
    EXPECT_EQ(error["code"], 400) << reply.body;
    EXPECT_EQ(error["type"], "invalid_request_error") << reply.body;
  }
  for (const char* path : {"/v1/rerank", "/rerank", "/slots/0"}) {
    const TestReply reply = client.post(path, "{}");
    EXPECT_EQ(reply.status, 501) << path;
    EXPECT_EQ(parsed(reply.body)["error"]["type"], "not_supported_error");
  }
  EXPECT_EQ(client.post("/completion", ask(R"(,"model":"none")")).status, 404);
  EXPECT_EQ(client.post("/tokenize", R"({"content":"3","model":"none"})").status, 404);
}

TEST(LlamaServer, NeutralSettingsAreNotSpokenOf) {
  TestServer server;
  TestClient client(server.port());
  const Json quiet = parsed(
      client.post("/completion", ask(R"(,"cache_prompt":true,"mirostat":0,"dry_multiplier":0.0)"))
          .body);
  EXPECT_FALSE(quiet.contains("warnings")) << quiet;
  const Json loud = parsed(client.post("/completion", ask(R"(,"mirostat":2,"wibble":1)")).body);
  EXPECT_EQ(loud["warnings"].size(), 2u) << loud;
}

TEST(LlamaServer, SlotsAndProperties) {
  TestServer server;
  TestClient client(server.port());
  const Json slots = parsed(client.get("/slots").body);
  ASSERT_EQ(slots.size(), 1u);
  EXPECT_EQ(slots[0]["is_processing"], false);
  const Json props = parsed(client.get("/props").body);
  EXPECT_EQ(props["model_alias"], "tiny");
  EXPECT_EQ(props["default_generation_settings"]["n_ctx"], slots[0]["n_ctx"]);
  EXPECT_FALSE(props["chat_template"].get<std::string>().empty());
  EXPECT_EQ(client.get("/props?model=none").status, 404);
}

}  // namespace
}  // namespace ponder
