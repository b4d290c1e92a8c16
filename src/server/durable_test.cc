// Receipts that lead to the same answers again, and streams that survive their connections and servers.
#include "server/durable.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "core/sha256.h"
#include "core/test_folder.h"
#include "server/json.h"
#include "server/replay.h"
#include "server/test_server.h"

namespace ponder {
namespace {

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kResumable = "X-Ponder-Resumable: 1\r\n";

std::string chat(const std::string& more) {
  return R"({"messages":[{"role":"user","content":"3+4=?"}],"max_tokens":40,"max_completion_tokens":40)" +
         more + "}";
}

std::string responses(const std::string& more) {
  return R"({"input":"3+4=?","max_output_tokens":40)" + more + "}";
}

std::string messages(const std::string& more) {
  return R"({"messages":[{"role":"user","content":"3+4=?"}],"max_tokens":40)" + more + "}";
}

std::string text(const std::string& more) { return R"({"prompt":"3+4=")" + more + "}"; }

TestServerOptions options_of(Speculation speculation = Speculation::kNone) {
  TestServerOptions out;
  out.model.digest.clear();  // that of the weights
  out.model.engine.speculation = speculation;
  out.drain_seconds = 0;
  return out;
}

std::unique_ptr<ReceiptStore> receipts_in(const std::string& folder) {
  FileShelfOptions shelf;
  shelf.folder = folder;
  shelf.suffix = ".json";
  shelf.max_bytes = 64 << 20;
  return std::make_unique<ReceiptStore>(std::move(FileShelf::open(shelf)).value());
}

std::shared_ptr<Journal> journal_in(const std::string& folder) {
  JournalOptions out;
  out.folder = folder;
  return std::move(Journal::open(out)).value();
}

// The end of the last event with the id `number`, counted from the first byte.
size_t end_of_event(const std::string& stream, int number) {
  const size_t at = stream.find("-" + std::to_string(number) + "\n");
  return at == std::string::npos ? at : stream.find("\n\n", at) + 2;
}

std::string without(std::string text, const std::string& part) {
  for (size_t at = 0; !part.empty() && (at = text.find(part)) != std::string::npos;) {
    text.replace(at, part.size(), "ID");
  }
  return text;
}

// Without what tells a stream from another of the same request: its answer's id and the time.
std::string events_of(const std::string& stream, const std::string& answer) {
  std::string out = without(stream, answer);
  for (const char* name : {"\"created\":", "\"created_at\":"}) {
    for (size_t at = 0; (at = out.find(name, at)) != std::string::npos; ++at) {
      size_t end = at += std::string_view(name).size();
      while (end < out.size() && std::isdigit(static_cast<unsigned char>(out[end]))) ++end;
      out.erase(at, end - at);
    }
  }
  return out.substr(0, out.find("\"timings\""));  // llama-server's seconds
}

std::string last_event(const std::string& id, int number) {
  return "Last-Event-ID: " + id + "-" + std::to_string(number) + "\r\n";
}

TEST(Receipts, EveryAnswerOfEveryDialectHasOne) {
  TestServer server(options_of());
  TestClient client(server.port());
  const std::pair<const char*, std::string> asked[] = {
      {kChat, chat("")},
      {"/chat/completions", chat("")},
      {"/beta/chat/completions", chat("")},
      {"/v1/completions", text(R"(,"max_tokens":9)")},
      {"/v1/responses", responses("")},
      {"/v1/messages", messages("")},
      {"/api/chat", R"({"model":"tiny","messages":[{"role":"user","content":"3+4=?"}])"
                    R"(,"options":{"num_predict":9},"stream":false})"},
      {"/api/generate", R"({"model":"tiny","prompt":"3+4=?","options":{"num_predict":9}})"},
      {"/completion", text(R"(,"n_predict":9)")},
  };
  std::set<std::string> ids;
  for (const auto& [path, body] : asked) {
    for (const char* more : {"", R"(,"stream":true)"}) {
      if (body.find("stream") != std::string::npos && *more != 0) continue;
      const TestReply reply = client.post(path, body.substr(0, body.size() - 1) + more + "}");
      ASSERT_EQ(reply.status, 200) << path << reply.body;
      const std::string id = reply.headers.at("x-ponder-id");
      EXPECT_TRUE(ids.insert(id).second);
      const TestReply got = client.get("/v1/receipts/" + id);
      ASSERT_EQ(got.status, 200) << path << got.body;
      const Json receipt = Json::parse(got.body);
      EXPECT_EQ(receipt["id"], id);
      EXPECT_EQ(receipt["path"], path);
      EXPECT_EQ(receipt["whole"], false);
      EXPECT_EQ(receipt["request_id"], reply.headers.at("x-request-id"));
      EXPECT_EQ(receipt["model"]["digest"].get<std::string>().size(), 64u);
      EXPECT_EQ(receipt["kv_type"], "f16");
      EXPECT_GT(receipt["prompts"][0]["answers"][0]["tokens"], 0);
      EXPECT_EQ(got.body.find("\"ids\""), std::string::npos);
    }
  }
  const Json whole = Json::parse(client.post(kChat, chat(R"(,"n":3,"seed":5)")).body);
  // The id as the dialect writes it will do.
  const Json receipt =
      Json::parse(client.get("/v1/receipts/" + whole["id"].get<std::string>()).body);
  EXPECT_EQ(receipt["prompts"][0]["sampling"]["seed"], 5);
  int64_t tokens = 0;
  for (const Json& answer : receipt["prompts"][0]["answers"])
    tokens += answer["tokens"].get<int64_t>();
  EXPECT_EQ(tokens, whole["usage"]["completion_tokens"].get<int64_t>());
  EXPECT_EQ(client.get("/v1/receipts/0123456789abcdef01234567").status, 404);
  EXPECT_EQ(client.get("/v1/receipts/..%2f..%2fetc%2fpasswd").status, 404);
}

// Answers sampled side by side, in every way that an answer can be guided or cut, come again alone.
void replay_a_busy_server(Speculation speculation) {
  const TestFolder folder;
  std::vector<std::string> ids(24);
  {
    TestServerOptions options = options_of(speculation);
    options.service.receipts = receipts_in(folder.path());
    TestServer server(std::move(options));
    const char* const variants[] = {
        R"(,"n":3)",
        R"(,"stop":["7","1"],"ignore_eos":true)",
        R"(,"thinking_budget":5,"stream":true)",
        R"(,"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"integer","minimum":100,"maximum":99999}}})",
        R"(,"guided_regex":"[0-9]{2,9}","seed":3)",
        R"(,"temperature":0.7,"top_p":0.9,"top_k":7,"min_p":0.01,"frequency_penalty":0.5)",
        R"(,"logit_bias":{"5":4.5,"7":-3},"repetition_penalty":1.2,"min_tokens":12)",
        R"(,"temperature":0,"ignore_eos":true,"repetition_detection":{"max_pattern_size":8,"min_count":3,"min_tokens":6})",
        R"(,"thinking":{"type":"disabled"},"stream":true)",
        R"(,"ignore_eos":true,"logprobs":true,"top_logprobs":3)",
        R"(,"thinking_seconds":0.001)",
        R"(,"timeout_seconds":0.02,"ignore_eos":true)",
    };
    std::vector<std::thread> threads;
    for (size_t i = 0; i < ids.size(); ++i) {
      threads.emplace_back([&, i] {
        TestClient client(server.port());
        const TestReply reply =
            i == 23 ? client.post("/v1/completions",
                                  R"({"prompt":["3+4=","5*6="],"n":2,"max_tokens":30})")
                    : client.post(kChat, chat(variants[i % std::size(variants)]));
        EXPECT_EQ(reply.status, 200) << reply.body;
        ids[i] = reply.headers.at("x-ponder-id");
      });
    }
    for (std::thread& thread : threads) thread.join();
    server.service().settle();
    TestClient client(server.port());
    EXPECT_EQ(Json::parse(client.get("/v1/receipts/" + ids[0]).body)["whole"], true);
  }
  const ServedModelSpec spec = tiny_served_model("tiny");
  ThreadPool pool(2);
  size_t answers = 0, tokens = 0;
  for (const std::string& id : ids) {
    const Result<Receipt> receipt = parse_receipt(slurp(folder / (id + ".json")));
    ASSERT_TRUE(receipt.ok()) << receipt.status().message();
    const auto again = replay(*receipt, *spec.model, spec.tokenizer, pool);
    ASSERT_TRUE(again.ok()) << again.status().message();
    for (const ReplayedAnswer& one : *again) {
      EXPECT_FALSE(one.first_difference)
          << receipt_json(*receipt, true) << " at " << one.first_difference.value_or(0);
      ++answers;
      tokens += one.ids.size();
    }
  }
  EXPECT_EQ(answers, 24u + 2 * 2 + 3);
  EXPECT_GT(tokens, 200u);
}

TEST(Receipts, ABusyServersAnswersComeAgain) { replay_a_busy_server(Speculation::kNone); }
TEST(Receipts, SpeculationChangesNone) { replay_a_busy_server(Speculation::kLookup); }

TEST(Receipts, AnotherAnswerIsNoticed) {
  const TestFolder folder;
  std::string id;
  {
    TestServerOptions options = options_of();
    options.service.receipts = receipts_in(folder.path());
    TestServer server(std::move(options));
    id = TestClient(server.port())
             .post(kChat, chat(R"(,"ignore_eos":true)"))
             .headers.at("x-ponder-id");
  }
  Receipt receipt = parse_receipt(slurp(folder / (id + ".json"))).value();
  const ServedModelSpec spec = tiny_served_model("tiny");
  ThreadPool pool(1);
  ReceiptAnswer& answer = receipt.prompts[0].answers[0];
  ASSERT_EQ(answer.ids.size(), 40u);
  const int32_t right = answer.ids[17];
  answer.ids[17] = right == 9 ? 10 : 9;
  const auto changed = replay(receipt, *spec.model, spec.tokenizer, pool);
  ASSERT_TRUE(changed.ok());
  EXPECT_EQ(changed->front().first_difference, 17u);
  EXPECT_EQ(changed->front().ids[17], right);
  answer.ids[17] = right;
  receipt.prompts[0].sampling.seed ^= 1;
  EXPECT_TRUE(replay(receipt, *spec.model, spec.tokenizer, pool)->front().first_difference);
  receipt.digest[0] = receipt.digest[0] == '0' ? '1' : '0';
  const auto other = replay(receipt, *spec.model, spec.tokenizer, pool);
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.status().message().find(receipt.digest), std::string::npos);
}

struct Dialected {
  const char* path;
  std::string body;
  const char* end;  // of the whole stream
};

std::vector<Dialected> streams() {
  return {
      {kChat,
       chat(R"(,"ignore_eos":true,"stream":true,"seed":3,"stream_options":{"include_usage":true})"),
       "data: [DONE]\n\n"},
      {"/chat/completions", chat(R"(,"ignore_eos":true,"stream":true,"seed":3)"),
       "data: [DONE]\n\n"},
      {"/v1/completions", text(R"(,"ignore_eos":true,"stream":true,"seed":3,"max_tokens":30)"),
       "data: [DONE]\n\n"},
      {"/v1/responses", responses(R"(,"ignore_eos":true,"stream":true,"seed":3)"), "\n\n"},
      {"/v1/messages", messages(R"(,"stream":true,"seed":3)"), "message_stop\"}\n\n"},
      {"/completion", text(R"(,"ignore_eos":true,"stream":true,"seed":3,"n_predict":30)"), "\n\n"}};
}

TEST(Streams, AreGoneOnWithFromAnyEvent) {
  TestServer server(options_of());
  TestClient client(server.port());
  std::vector<Dialected> all = streams();
  all.push_back({kChat, chat(R"(,"n":2,"stream":true)"), "data: [DONE]\n\n"});
  for (const Dialected& one : all) {
    const TestReply plain = client.post(one.path, one.body);
    EXPECT_EQ(plain.headers.count("x-ponder-resumable"), 0u);
    EXPECT_EQ(client.get("/v1/streams/" + plain.headers.at("x-ponder-id")).status, 404);
    const TestReply whole = client.post(one.path, one.body, kResumable);
    ASSERT_EQ(whole.status, 200) << whole.body;
    EXPECT_EQ(whole.headers.at("x-ponder-resumable"), "process");
    EXPECT_TRUE(whole.body.ends_with(one.end)) << whole.body;
    const std::string id = whole.headers.at("x-ponder-id");
    EXPECT_EQ(client.get("/v1/streams/" + id).body, whole.body);
    int number = 1;
    for (; end_of_event(whole.body, number) != std::string::npos; ++number) {
      const TestReply rest = client.get("/v1/streams/" + id, last_event(id, number));
      EXPECT_EQ(rest.status, 200);
      EXPECT_EQ(rest.headers.at("content-type"), "text/event-stream");
      EXPECT_EQ(rest.body, whole.body.substr(end_of_event(whole.body, number))) << number;
    }
    EXPECT_GT(number, 10) << whole.body;
    EXPECT_EQ(client.get("/v1/streams/" + id + "?last_event_id=" + id + "-2").body,
              whole.body.substr(end_of_event(whole.body, 2)));
    EXPECT_EQ(client.get("/v1/streams/" + id, "Last-Event-ID: nonsense\r\n").status, 400);
    EXPECT_EQ(client.get("/v1/streams/" + id, last_event("ffffffffffffffffffffffff", 1)).status,
              400);
  }
}

TEST(Streams, GoOnWithoutTheirClient) {
  TestServerOptions options = options_of();
  options.model = tiny_served_model("tiny", 2048);
  TestServer server(std::move(options));
  const std::string body =
      R"({"messages":[{"role":"user","content":"3+4=?"}],"stream":true,"ignore_eos":true,"max_tokens":1500})";
  std::string id;
  {
    TestClient client(server.port());
    client.send(TestClient::request(kChat, body, kResumable));
    id = client.read_head().headers.at("x-ponder-id");
    ASSERT_TRUE(client.wait_for("-5\n"));
  }  // it goes away
  TestClient again(server.port());
  const TestReply rest = again.get("/v1/streams/" + id, last_event(id, 5));
  EXPECT_TRUE(rest.body.starts_with("id: " + id + "-6\n")) << rest.body.substr(0, 200);
  EXPECT_TRUE(rest.body.ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(again.get("/v1/streams/" + id, last_event(id, 5)).body, rest.body);
}

TEST(Streams, EndWhenNobodyComesBack) {
  TestServerOptions options = options_of();
  options.model = tiny_served_model("tiny", 8192);
  options.service.streams.grace_seconds = 0.05;
  TestServer server(std::move(options));
  {
    TestClient client(server.port());
    client.send(TestClient::request(
        kChat,
        R"({"messages":[{"role":"user","content":"3+4=?"}],"stream":true,"ignore_eos":true})",
        kResumable));
    ASSERT_TRUE(client.wait_for("-5\n"));
  }
  const auto model = server.host().list().front().loaded;
  for (int i = 0; i < 3000 && model->stats().running > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(model->stats().running, 0);
  EXPECT_EQ(server.service().streams().size(), 0u);
}

TEST(Streams, AreOnesOwn) {
  const TestFolder folder;
  TestServerOptions options = options_of();
  options.service.journal = journal_in(folder.path());
  const std::string lines =
      sha256_hex("key-number-one") + " one\n" + sha256_hex("key-number-two") + " two\n";
  ASSERT_TRUE(options.keys.add_lines(lines, "keys").ok());
  TestServer server(std::move(options));
  TestClient client(server.port());
  const std::string one = "Authorization: Bearer key-number-one\r\n",
                    two = "Authorization: Bearer key-number-two\r\n";
  const TestReply whole = client.post(kChat, streams()[0].body, one + kResumable);
  const std::string id = whole.headers.at("x-ponder-id");
  EXPECT_EQ(client.get("/v1/streams/" + id, one).body, whole.body);
  EXPECT_EQ(client.get("/v1/streams/" + id, two).status, 404);
  EXPECT_EQ(client.get("/v1/streams/" + id).status, 401);
  EXPECT_EQ(client.get("/v1/receipts/" + id, one).status, 200);
  EXPECT_EQ(client.get("/v1/receipts/" + id, two).status, 404);
  server.service().streams().drop(id);  // it is in the journal still
  EXPECT_EQ(client.get("/v1/streams/" + id, two).status, 404);
  EXPECT_EQ(client.get("/v1/streams/" + id, one).body, whole.body);
}

TEST(Streams, ARefusalSaysWhy) {
  TestServer server(options_of());
  TestClient client(server.port());
  const TestReply whole = client.post(kChat, chat(""), kResumable);
  EXPECT_NE(whole.body.find("`X-Ponder-Resumable` has no effect"), std::string::npos);
  EXPECT_EQ(whole.headers.count("x-ponder-resumable"), 0u);
  EXPECT_EQ(client.post(kChat, chat(R"(,"stream":true)"), "X-Ponder-Resumable: yes\r\n").status,
            400);
  const TestReply lines =
      client.post("/api/generate", R"({"model":"tiny","prompt":"3+4=?"})", kResumable);
  EXPECT_NE(lines.body.find("lines of JSON have no ids"), std::string::npos) << lines.body;
}

// A journal that takes nothing, as on a full disk: the stream is none the worse.
TEST(Streams, AJournalThatIsFullStopsNothing) {
  const TestFolder folder;
  TestServerOptions options = options_of();
  JournalOptions tiny;
  tiny.folder = folder.path();
  tiny.max_bytes = 10;
  options.service.journal = std::move(Journal::open(tiny)).value();
  TestServer server(std::move(options));
  TestClient client(server.port());
  const TestReply whole = client.post(kChat, streams()[0].body, kResumable);
  EXPECT_EQ(whole.headers.at("x-ponder-resumable"), "process");
  EXPECT_TRUE(whole.body.ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(client.get("/v1/streams/" + whole.headers.at("x-ponder-id")).body, whole.body);
  EXPECT_TRUE(files_ending(folder.path(), ".journal").empty());
}

// The server ends in mid-stream; the next one writes the stream to its end, byte for byte.
TEST(Streams, SurviveTheServer) {
  const TestFolder folder;
  for (const Dialected& one : streams()) {
    for (const int had : {1, 4, 9}) {
      std::string id, begun;
      {
        TestServerOptions options = options_of();
        options.service.journal = journal_in(folder.path());
        TestServer server(std::move(options));
        TestClient client(server.port());
        client.send(TestClient::request(one.path, one.body, kResumable));
        const TestReply head = client.read_head();
        EXPECT_EQ(head.headers.at("x-ponder-resumable"), "restart");
        id = head.headers.at("x-ponder-id");
        ASSERT_TRUE(client.wait_for("-" + std::to_string(had) + "\n"));
      }
      TestServerOptions options = options_of();
      options.service.journal = journal_in(folder.path());
      TestServer server(std::move(options));
      TestClient client(server.port());
      const TestReply rest = client.get("/v1/streams/" + id, last_event(id, had));
      ASSERT_EQ(rest.status, 200) << rest.body;
      EXPECT_TRUE(rest.body.ends_with(one.end)) << rest.body;
      EXPECT_EQ(rest.headers.at("x-ponder-resumable"), "restart");
      const std::string whole = client.get("/v1/streams/" + id).body;
      EXPECT_EQ(whole.substr(std::min(whole.size(), end_of_event(whole, had))), rest.body);
      EXPECT_EQ(client.get("/v1/receipts/" + id).status, 200);
      // Written yet again, it tells the same cost.
      server.service().streams().drop(id);
      EXPECT_EQ(events_of(client.get("/v1/streams/" + id).body, id), events_of(whole, id));
      // A stream that was never broken has the same events.
      const TestReply unbroken = client.post(one.path, one.body);
      EXPECT_EQ(events_of(whole, id), events_of(unbroken.body, unbroken.headers.at("x-ponder-id")));
    }
  }
}

TEST(Streams, DamagedEntriesAndOtherWeightsAreRefused) {
  const TestFolder folder;
  std::string id;
  {
    TestServerOptions options = options_of();
    options.service.journal = journal_in(folder.path());
    TestServer server(std::move(options));
    id = TestClient(server.port())
             .post(kChat, streams()[0].body, kResumable)
             .headers.at("x-ponder-id");
  }
  {
    TestServerOptions options = options_of();
    options.model.digest = "other weights";
    options.service.journal = journal_in(folder.path());
    TestServer server(std::move(options));
    EXPECT_EQ(TestClient(server.port()).get("/v1/streams/" + id).status, 409);
  }
  const std::string path = folder / (id + ".journal");
  std::string bytes = slurp(path);
  bytes[bytes.size() / 2] ^= 1;
  plant(path, bytes);
  TestServerOptions options = options_of();
  options.service.journal = journal_in(folder.path());
  TestServer server(std::move(options));
  EXPECT_EQ(TestClient(server.port()).get("/v1/streams/" + id).status, 404);
}

// Every route is described, and nothing else is.
TEST(OpenApi, DescribesTheRoutes) {
  const Json described = Json::parse(openapi_text());
  std::set<std::string> here, there;
  for (const auto& [path, methods] : described["paths"].items()) {
    std::string pattern = path;
    if (pattern.ends_with("}")) pattern = pattern.substr(0, pattern.rfind('{')) + "*";
    for (const auto& [method, unused] : methods.items()) {
      std::string upper = method;
      for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      if (upper != "PARAMETERS") there.insert(upper + " " + pattern);
    }
  }
  for (const Dialect* dialect : dialects()) {
    for (const Route& route : dialect->routes) {
      here.insert(std::string(route.method) + " " + route.path);
    }
  }
  for (const std::string& route : here) {
    EXPECT_TRUE(there.contains(route)) << route << " is not in openapi.json";
  }
  for (const std::string& route : there) {
    EXPECT_TRUE(here.contains(route)) << route << " is in openapi.json, and there is no such route";
  }
  TestServer server;
  TestClient client(server.port());
  const TestReply reply = client.get("/openapi.json");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(Json::parse(reply.body)["info"]["version"], "test");
}

}  // namespace
}  // namespace ponder
