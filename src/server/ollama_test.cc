// Ollama's dialect over a connection, with a tiny random model behind it and a store beside it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "core/sha256.h"
#include "core/test_folder.h"
#include "server/json.h"
#include "server/model_store.h"
#include "server/ollama_fields.h"
#include "server/test_server.h"

namespace ponder {
namespace {

const std::string kChat =
    R"({"model":"tiny","messages":[{"role":"user","content":"3+4=?"}],"options":{"num_predict":8,"seed":1}})";

std::vector<Json> lines(const std::string& body) {
  std::vector<Json> out;
  std::istringstream text(body);
  for (std::string line; std::getline(text, line);)
    out.push_back(Json::parse(line, nullptr, false));
  return out;
}

std::string without_stream(std::string body) {
  body.insert(1, R"("stream":false,)");
  return body;
}

class OllamaTest : public testing::Test {
 protected:
  Json ask(const std::string& path, const std::string& body, int status = 200) {
    TestClient client(server_.port());
    const TestReply reply = client.post(path, body);
    EXPECT_EQ(reply.status, status) << reply.body;
    return Json::parse(reply.body, nullptr, false);
  }
  std::string error(const std::string& path, const std::string& body, int status = 400) {
    const Json reply = ask(path, body, status);
    EXPECT_EQ(reply.size(), 1u);
    return reply.value("error", "");
  }

  TestServer server_;
};

TEST_F(OllamaTest, StreamsLinesThatJoinToTheWhole) {
  TestClient client(server_.port());
  const TestReply streamed = client.post("/api/chat", kChat);
  EXPECT_EQ(streamed.headers.at("content-type"), "application/x-ndjson");
  std::string content, thinking;
  const std::vector<Json> all = lines(streamed.body);
  ASSERT_GE(all.size(), 2u);
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i]["done"], i + 1 == all.size());
    EXPECT_EQ(all[i]["model"], "tiny");
    content += all[i]["message"]["content"].get<std::string>();
    thinking += all[i]["message"].value("thinking", "");
  }
  const Json whole = ask("/api/chat", without_stream(kChat));
  EXPECT_EQ(whole["message"]["content"], content);
  EXPECT_EQ(whole["message"].value("thinking", ""), thinking);
  EXPECT_EQ(whole["message"]["role"], "assistant");
  for (const Json& last : {whole, all.back()}) {
    EXPECT_EQ(last["done_reason"], last["eval_count"] == 8 ? "length" : "stop");
    EXPECT_GT(last["prompt_eval_count"], 0);
    for (const char* name :
         {"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}) {
      EXPECT_TRUE(last[name].is_number_integer() && last[name] >= 0) << name;
    }
  }
}

TEST_F(OllamaTest, Generates) {
  const Json said = ask(
      "/api/generate",
      R"({"model":"TINY:latest","prompt":"3+4=?","stream":false,"options":{"num_predict":4,"seed":1}})");
  EXPECT_TRUE(said["response"].is_string());
  EXPECT_EQ(said["model"], "TINY:latest");
  const Json raw = ask(
      "/api/generate",
      R"({"model":"tiny","prompt":"3+4=","raw":true,"stream":false,"options":{"num_predict":2}})");
  EXPECT_FALSE(raw.contains("thinking"));
  EXPECT_LE(raw["eval_count"], 2);
  EXPECT_EQ(ask("/api/generate", R"({"model":"tiny"})")["done_reason"], "load");
  EXPECT_EQ(ask("/api/generate", R"({"model":"tiny","keep_alive":0})")["done_reason"], "unload");
  EXPECT_EQ(ask("/api/chat", R"({"model":"tiny","messages":[]})")["done_reason"], "load");
}

TEST_F(OllamaTest, ThinkingIsAField) {
  const std::string body =
      R"({"model":"tiny","stream":false,"messages":[{"role":"user","content":"3+4=?"}],"options":{"num_predict":8,"seed":3},"think":)";
  EXPECT_FALSE(ask("/api/chat", body + "false}")["message"].contains("thinking"));
  for (const char* level : {"true", R"("low")", R"("medium")", R"("high")"}) {
    ask("/api/chat", body + level + "}");
  }
  EXPECT_NE(error("/api/chat", body + R"("much"})").find("think"), std::string::npos);
}

TEST_F(OllamaTest, FormatsHoldTheAnswer) {
  const Json out = ask(
      "/api/chat",
      R"({"model":"tiny","stream":false,"think":false,"messages":[{"role":"user","content":"3+4=?"}],"format":{"type":"integer"},"options":{"num_predict":20}})");
  const std::string content = out["message"]["content"].get<std::string>();
  EXPECT_TRUE(out["done_reason"] == "length" ||
              Json::parse(content, nullptr, false).is_number_integer())
      << content;
  EXPECT_NE(error("/api/chat", R"({"model":"tiny","messages":[],"format":"xml"})").find("format"),
            std::string::npos);
}

TEST_F(OllamaTest, SaysWhatIsWrong) {
  EXPECT_EQ(
      error("/api/chat", R"({"model":"other","messages":[{"role":"user","content":"1"}]})", 404),
      "model 'other' not found, try pulling it first");
  EXPECT_EQ(error("/api/chat", R"({"messages":[]})"), "model is required");
  const std::pair<const char*, const char*> kWrong[] = {
      {R"("images":["aGk="])", "images"},
      {R"("context":[1,2])", "context"},
      {R"("template":"{{ .Prompt }}")", "template"},
      {R"("suffix":"x")", "does not support insert"},
      {R"("options":{"temperature":-1})", "options.temperature"},
      {R"("keep_alive":"soon")", "keep_alive"},
  };
  for (const auto& [field, word] : kWrong) {
    const std::string said =
        error("/api/generate", std::string(R"({"model":"tiny","prompt":"1",)") + field + "}");
    EXPECT_NE(said.find(word), std::string::npos) << said;
  }
  EXPECT_NE(error("/api/chat",
                  R"({"model":"tiny","messages":[{"role":"user","content":"1","images":["a"]}]})")
                .find("messages[0].images"),
            std::string::npos);
  EXPECT_NE(error("/api/nothing", "{}", 404), "");
}

TEST_F(OllamaTest, TellsWhatItIgnored) {
  const Json out = ask(
      "/api/generate",
      R"({"model":"tiny","prompt":"1+1=?","stream":false,"options":{"num_predict":1,"num_gpu":1,"nmu_ctx":2}})");
  ASSERT_EQ(out["warnings"].size(), 2u) << out.dump();
}

TEST_F(OllamaTest, Embeds) {
  const Json two = ask("/api/embed", R"({"model":"tiny","input":["1+2","3+4"]})");
  ASSERT_EQ(two["embeddings"].size(), 2u);
  const Json one = ask("/api/embed", R"({"model":"tiny","input":"1+2"})");
  EXPECT_EQ(one["embeddings"][0], two["embeddings"][0]);
  const Json older = ask("/api/embeddings", R"({"model":"tiny","prompt":"1+2"})");
  EXPECT_EQ(older["embedding"], two["embeddings"][0]);
  const Json cut = ask("/api/embed", R"({"model":"tiny","input":"1+2","dimensions":4})");
  ASSERT_EQ(cut["embeddings"][0].size(), 4u);
  double squares = 0;
  for (const Json& x : cut["embeddings"][0]) squares += x.get<double>() * x.get<double>();
  EXPECT_NEAR(squares, 1, 1e-6);  // four float32 of length 1
  EXPECT_NE(error("/api/embed", R"({"model":"tiny"})"), "");
}

TEST_F(OllamaTest, Lists) {
  TestClient client(server_.port());
  EXPECT_EQ(client.get("/").body, "Ollama is running");
  EXPECT_EQ(Json::parse(client.get("/api/version").body)["version"], "test");
  const Json tags = Json::parse(client.get("/api/tags").body);
  ASSERT_EQ(tags["models"].size(), 1u);
  EXPECT_EQ(tags["models"][0]["name"], "tiny:latest");
  const Json ps = Json::parse(client.get("/api/ps").body);
  ASSERT_EQ(ps["models"].size(), 1u);
  EXPECT_EQ(ps["models"][0]["context_length"], 256);
  const Json shown = ask("/api/show", R"({"model":"tiny"})");
  const std::string family = shown["details"]["family"].get<std::string>();
  EXPECT_EQ(shown["model_info"][family + ".context_length"], 256);
  EXPECT_EQ(shown["capabilities"][0], "completion");
  error("/api/show", R"({"model":"other"})", 404);
  error("/api/pull", R"({"model":"other"})", 503);  // there is no store
}

TEST(OllamaKeepAlive, Durations) {
  EXPECT_EQ(parse_keep_alive("5m"), 300.0);
  EXPECT_EQ(parse_keep_alive("1h30m"), 5400.0);
  EXPECT_EQ(parse_keep_alive("250ms"), 0.25);
  EXPECT_EQ(parse_keep_alive("90"), 90.0);
  EXPECT_EQ(parse_keep_alive("0"), 0.0);
  EXPECT_EQ(parse_keep_alive("-1"), -1.0);
  EXPECT_EQ(parse_keep_alive("-1m"), -60.0);
  for (const char* wrong : {"", "-", "m", "5 m", "5x", "1h30", "nan", "1e999"}) {
    EXPECT_FALSE(parse_keep_alive(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace ponder
