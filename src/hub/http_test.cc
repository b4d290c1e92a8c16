#include "hub/http.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "hub/download.h"
#include "hub/pull.h"
#include "hub/signing_key.h"

namespace ponder {
namespace {

// Answers one connection with `bytes`, then waits for the other side to close it.
class OneAnswer {
 public:
  explicit OneAnswer(std::string bytes) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/x";
    thread_ = std::thread([this, bytes = std::move(bytes)] {
      const int peer = ::accept(listener_, nullptr, nullptr);
      char buffer[4096];
      if (::read(peer, buffer, sizeof buffer) > 0 && !bytes.empty()) {
        EXPECT_EQ(::write(peer, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
      }
      while (::read(peer, buffer, sizeof buffer) > 0) {
      }
      ::close(peer);
    });
  }
  ~OneAnswer() {
    thread_.join();
    ::close(listener_);
  }
  HttpRequest request() const {
    HttpRequest out;
    out.url = url_;
    return out;
  }

 private:
  int listener_ = -1;
  std::string url_;
  std::thread thread_;
};

TEST(Http, FetchesStatusHeadersAndBody) {
  OneAnswer server("HTTP/1.1 404 Not Found\r\nX-One:  a b \r\nContent-Length: 4\r\n\r\nbody");
  Http http;
  const auto answer = http.fetch(server.request(), 100);
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->status, 404);
  EXPECT_EQ(answer->body, "body");
  ASSERT_NE(answer->header("x-one"), nullptr);
  EXPECT_EQ(*answer->header("x-one"), "a b");
  EXPECT_EQ(answer->header("x-two"), nullptr);
}

TEST(Http, KeepsToTheLimitOfABody) {
  OneAnswer server("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890");
  Http http;
  EXPECT_EQ(http.fetch(server.request(), 10).status().code(), Code::kExhausted);
}

TEST(Http, RefusesEndlessHeaders) {
  std::string many = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 300; ++i) many += "A: b\r\n";
  OneAnswer server(many + "Content-Length: 0\r\n\r\n");
  Http http;
  EXPECT_EQ(http.fetch(server.request(), 10).status().code(), Code::kExhausted);
}

TEST(Http, AStallIsWorthAnotherAttempt) {
  OneAnswer server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
  HttpOptions options;
  options.stall_seconds = 1;
  Http http(options);
  const auto answer = http.fetch(server.request(), 1000);
  ASSERT_FALSE(answer.ok());
  EXPECT_TRUE(worth_retrying(answer.status())) << answer.status().message();
}

TEST(Http, CanBeCancelledWhileNothingComes) {
  OneAnswer server("");
  Http http;
  int ticks = 0;
  http.on_tick = [&](int64_t) { return ++ticks < 3; };
  EXPECT_EQ(http.fetch(server.request(), 10).status().code(), Code::kCancelled);
}

TEST(Http, OnlyWebAddresses) {
  Http http;
  for (const char* url : {"file:///etc/passwd", "ftp://x/y", "x", ""}) {
    HttpRequest request;
    request.url = url;
    const auto answer = http.fetch(request, 10);
    ASSERT_FALSE(answer.ok());
    EXPECT_FALSE(worth_retrying(answer.status())) << answer.status().message();
  }
}

TEST(Http, Urls) {
  EXPECT_EQ(url_host("https://Example.org:50/a?b"), "example.org:50");
  EXPECT_EQ(url_scheme("HTTPS://x"), "https");
  EXPECT_EQ(url_host("x"), "");
  EXPECT_EQ(url_join("https://h:1/a/b?c", "/d"), "https://h:1/d");
  EXPECT_EQ(url_join("https://h/a", "http://other/d"), "http://other/d");
  EXPECT_EQ(url_join("https://h/a", "//other/d"), "https://other/d");
  EXPECT_EQ(url_escape("a b/ä:~"), "a%20b%2F%C3%A4%3A~");
  EXPECT_EQ(body_text(" one\ntwo\x01\xff "), "one two ?");
}

TEST(Download, ContentRange) {
  int64_t first = 0, last = 0, total = 0;
  ASSERT_TRUE(parse_content_range("bytes 100-199/1000", first, last, total));
  EXPECT_EQ(first, 100);
  EXPECT_EQ(last, 199);
  EXPECT_EQ(total, 1000);
  ASSERT_TRUE(parse_content_range("bytes 0-0/*", first, last, total));
  EXPECT_EQ(total, -1);
  for (const char* text : {"", "bytes", "bytes 1-0/5", "bytes 0-5/5", "bytes -1-2/5", "bytes 0-1/",
                           "bytes 0-1/2x", "items 0-1/2", "bytes 0-99999999999999999999/*"}) {
    EXPECT_FALSE(parse_content_range(text, first, last, total)) << text;
  }
}

TEST(ChooseGguf, ByTypeOfTheName) {
  const std::vector<std::string> files = {"README.md",
                                          "a-Q4_K_M.gguf",
                                          "a-Q4_K_S.gguf",
                                          "a-BF16.gguf",
                                          "mmproj-BF16.gguf",
                                          "a-UD-Q2_K_XL.gguf",
                                          "big/a-Q8_0-00002-of-00002.gguf",
                                          "big/a-Q8_0-00001-of-00002.gguf"};
  EXPECT_EQ(*choose_gguf(files, "latest"), std::vector<std::string>{"a-Q4_K_M.gguf"});
  EXPECT_EQ(*choose_gguf(files, "q4_k_s"), std::vector<std::string>{"a-Q4_K_S.gguf"});
  EXPECT_EQ(*choose_gguf(files, "BF16"), std::vector<std::string>{"a-BF16.gguf"});
  EXPECT_EQ(*choose_gguf(files, "Q8_0"),
            (std::vector<std::string>{"big/a-Q8_0-00001-of-00002.gguf",
                                      "big/a-Q8_0-00002-of-00002.gguf"}));
  EXPECT_EQ(choose_gguf(files, "F16").status().code(), Code::kNotFound);
  EXPECT_EQ(choose_gguf(files, "Q4_K").status().code(), Code::kNotFound);
  EXPECT_EQ(choose_gguf({}, "latest").status().code(), Code::kNotFound);
  EXPECT_EQ(*choose_gguf({"only-Q5_0.gguf"}, "latest"), std::vector<std::string>{"only-Q5_0.gguf"});
  EXPECT_FALSE(choose_gguf({"a-Q8_0.gguf", "b-Q8_0.gguf"}, "Q8_0").ok());
}

}  // namespace
}  // namespace ponder
