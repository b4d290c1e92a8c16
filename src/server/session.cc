#include "server/session.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <utility>
// Boost 1.74 needs <utility> before its coroutines.
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>
#include <random>

#include "server/wire.h"

namespace ponder {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Executor = net::strand<net::io_context::executor_type>;
using PlainStream = beast::basic_stream<net::ip::tcp, Executor>;
using Timer = net::basic_waitable_timer<Clock, net::wait_traits<Clock>, Executor>;
using TlsStream = beast::ssl_stream<PlainStream>;

constexpr auto kLook = std::chrono::milliseconds(500);  // for a client that has gone
constexpr size_t kMostLinger = 4 << 20;                 // bytes read and dropped before closing

std::chrono::nanoseconds to_duration(double seconds) {
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

bool peer_has_gone(int fd) {
  pollfd what{fd, POLLRDHUP, 0};
  return ::poll(&what, 1, 0) > 0 && (what.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

// The exchange's side of a connection: what is to be sent, and a bell for the coroutine that sends.
class SocketExchange final : public Exchange {
 public:
  SocketExchange(WebRequest request, Executor executor, bool chunks, bool keep_alive)
      : Exchange(std::move(request)),
        executor_(executor),
        bell_(executor),
        chunks_(chunks),
        keep_alive_(keep_alive) {}

  bool gone() const override { return gone_; }
  void respond(WebReply response) override {
    if (started_ || gone_) return;
    started_ = ended_ = true;
    status_ = response.status;
    response.headers.insert(response.headers.end(), more_headers.begin(), more_headers.end());
    out_ = response_head(response.status, response.content_type, response.headers, request().id,
                         response.body.size(), keep_alive_);
    if (request().method != "HEAD") out_ += response.body;
    ring();
  }
  void begin_stream(StreamStart start) override {
    if (started_ || gone_) return;
    started_ = true;
    status_ = 200;
    filler_ = std::move(start.keep_alive);
    start.headers.insert(start.headers.end(), more_headers.begin(), more_headers.end());
    if (!chunks_) keep_alive_ = false;  // the end of the connection is the end of the answer
    out_ = stream_head(start.content_type, start.headers, request().id, chunks_, keep_alive_);
    ended_ = request().method == "HEAD";
    ring();
  }
  void write(std::string_view bytes) override {
    if (!started_ || ended_ || gone_ || bytes.empty()) return;
    append_chunk(out_, bytes, chunks_);
    ring();
  }
  void end() override {
    if (!started_ || ended_ || gone_) return;
    if (chunks_) out_ += "0\r\n\r\n";
    ended_ = true;
    ring();
  }
  void cut() override {
    if (gone_) return;
    ended_ = started_ = true;
    keep_alive_ = false;
    cut_ = true;
    ring();
  }
  void post(std::function<void()> work) override {
    net::post(executor_, [self = shared_from_this(), work = std::move(work)] { work(); });
  }
  size_t backlog() const override { return out_.size(); }

  // The connection's side.
  void disconnect() {
    if (gone_) return;
    gone_ = true;
    out_.clear();
    on_sent = nullptr;
    if (on_disconnect) std::exchange(on_disconnect, nullptr)();
  }
  void finish() {  // lets go of what holds this
    on_sent = nullptr;
    on_disconnect = nullptr;
    gone_ = true;
  }
  void ring() { bell_.cancel(); }
  void fill() {
    if (started_ && !ended_ && !filler_.empty()) append_chunk(out_, filler_, chunks_);
  }

  const Executor executor_;
  Timer bell_;
  const bool chunks_;
  bool keep_alive_;
  std::string out_, filler_;
  int status_ = 0;
  bool started_ = false, ended_ = false, gone_ = false, cut_ = false;
};

template <typename Stream>
class Session final : public SessionControl, public std::enable_shared_from_this<Session<Stream>> {
 public:
  template <typename... StreamArguments>
  Session(SessionHost& host, Executor executor, std::string peer, bool refuse,
          StreamArguments&&... arguments)
      : host_(host),
        executor_(executor),
        peer_(std::move(peer)),
        refuse_(refuse),
        patience_(executor),
        stream_(std::forward<StreamArguments>(arguments)...) {
    const std::lock_guard lock(host_.mutex);
    host_.sessions.insert(this);
  }
  ~Session() override {
    std::function<void()> empty;
    {
      const std::lock_guard lock(host_.mutex);
      host_.sessions.erase(this);
      if (host_.sessions.empty()) empty = host_.on_empty;
    }
    if (empty) empty();
  }

  void start() {
    net::co_spawn(
        executor_, [self = this->shared_from_this()] { return self->serve(); }, net::detached);
  }

  void close_if_idle() override {
    net::post(executor_, [weak = this->weak_from_this()] {
      if (auto self = weak.lock(); self && self->idle_) self->lowest().cancel();
    });
  }
  void close_now() override {
    net::post(executor_, [weak = this->weak_from_this()] {
      if (auto self = weak.lock()) self->close_socket();
    });
  }

 private:
  using Parser = http::request_parser<http::string_body>;
  static constexpr bool kTls = std::is_same_v<Stream, TlsStream>;
  PlainStream& lowest() { return beast::get_lowest_layer(stream_); }
  auto waiting(error_code& error) { return net::redirect_error(net::use_awaitable, error); }

  void close_socket() {
    closed_ = true;
    if (exchange_) exchange_->disconnect(), exchange_->ring();
    lowest().cancel();
    error_code ignored;
    lowest().socket().close(ignored);
  }

  net::awaitable<void> serve() {
    try {
      co_await talk();
    } catch (const std::exception&) {
      // Out of memory, or the system refused: this connection alone ends.
    }
    if (exchange_) exchange_->disconnect();
    error_code ignored;
    lowest().socket().close(ignored);
  }

  net::awaitable<void> talk() {
    const HttpLimits& limits = host_.options.limits;
    error_code error;
    if constexpr (kTls) {
      lowest().expires_after(to_duration(limits.header_seconds));
      co_await stream_.async_handshake(net::ssl::stream_base::server, waiting(error));
      if (error) co_return;
    }
    if (refuse_) {
      co_await answer_and_close(503, "too many connections; try again later");
      co_return;
    }
    bool more = true;
    while (more && !closed_) {
      if (buffer_.size() == 0) {
        if (host_.draining) break;
        idle_ = true;
        lowest().expires_after(to_duration(limits.idle_seconds));
        const size_t got = co_await stream_.async_read_some(buffer_.prepare(4096), waiting(error));
        idle_ = false;
        if (error) break;
        buffer_.commit(got);
      }
      more = co_await one_request();
    }
    if constexpr (kTls) {
      if (!closed_) {
        lowest().expires_after(std::chrono::seconds(2));
        co_await stream_.async_shutdown(waiting(error));
      }
    }
  }

  // Whether the connection goes on.
  net::awaitable<bool> one_request() {
    const HttpLimits& limits = host_.options.limits;
    const Clock::time_point begun = Clock::now();
    Parser parser;
    parser.header_limit(limits.header_bytes);
    parser.body_limit(limits.body_bytes);
    error_code error;
    lowest().expires_never();
    allow(limits.header_seconds);
    co_await http::async_read_header(stream_, buffer_, parser, waiting(error));
    if (!error) {
      const uint64_t length = parser.content_length().value_or(limits.body_bytes);
      allow(limits.body_seconds + static_cast<double>(length) / 16384);
      if (parser.get()[http::field::expect].starts_with("100-")) {
        constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await net::async_write(stream_, net::buffer(kContinue), waiting(error));
      }
      if (!error) co_await http::async_read(stream_, buffer_, parser, waiting(error));
    }
    patience_.cancel();
    if (error) {
      co_await refuse_reading(error);
      co_return false;
    }
    const bool whole = co_await answer(parser, begun);
    co_return whole;
  }

  // Ends the reading under way after so long, but leaves the connection for an answer, as the stream's
  // own time-out would not.
  void allow(double seconds) {
    patience_.expires_after(to_duration(seconds));
    patience_.async_wait([weak = this->weak_from_this()](error_code stopped) {
      const auto self = weak.lock();
      if (stopped || !self) return;
      self->out_of_patience_ = true;
      self->lowest().cancel();
    });
  }

  net::awaitable<void> refuse_reading(error_code error) {
    const HttpLimits& limits = host_.options.limits;
    if (error == http::error::end_of_stream || closed_) co_return;
    if (error == http::error::body_limit) {
      co_await answer_and_close(
          413,
          fmt::format("the request body is larger than the limit of {} bytes", limits.body_bytes));
    } else if (error == http::error::header_limit) {
      co_await answer_and_close(
          431, fmt::format("the request headers are larger than {} bytes", limits.header_bytes));
    } else if (out_of_patience_) {
      co_await answer_and_close(408, "the request did not come in time");
    } else if (error.category() == make_error_code(http::error::bad_method).category() &&
               error != http::error::partial_message) {
      co_await answer_and_close(400, "the request is not sound HTTP: " + error.message());
    }
  }

  net::awaitable<void> answer_and_close(int status, std::string message) {
    WebRequest none;
    none.id = new_request_id();
    none.peer = peer_;
    const WebReply response = host_.callbacks.refuse(status, message);
    const std::string out = response_head(response.status, response.content_type, response.headers,
                                          none.id, response.body.size(), false) +
                            response.body;
    error_code error;
    lowest().expires_after(std::chrono::seconds(5));
    co_await net::async_write(stream_, net::buffer(out), waiting(error));
    host_.callbacks.record({&none, status, out.size(), 0, !error, nullptr});
    if (error) co_return;
    // What the client is still sending is read and dropped for a moment: closing at once would make
    // its system drop our answer.
    error_code ignored;
    lowest().socket().shutdown(net::ip::tcp::socket::shutdown_send, ignored);
    std::vector<char> sink(16384);
    lowest().expires_after(std::chrono::seconds(2));
    for (size_t dropped = 0; dropped < kMostLinger && !error;) {
      dropped += co_await lowest().async_read_some(net::buffer(sink), waiting(error));
    }
  }

  WebRequest take(Parser& parser) {
    auto message = parser.release();
    WebRequest request;
    request.method = std::string(message.method_string());
    const std::string target(message.target());
    const size_t mark = std::min(target.find('?'), target.size());
    if (!percent_decode(std::string_view(target).substr(0, mark), request.path)) {
      request.path.clear();
    }
    if (mark < target.size()) request.query = target.substr(mark + 1);
    for (const auto& field : message) {
      std::string name(field.name_string());
      for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      request.headers.emplace_back(std::move(name), std::string(field.value()));
    }
    request.body = std::move(message.body());
    request.peer = peer_;
    const std::string_view wanted = request.header("x-request-id");
    request.id = sound_request_id(wanted) ? std::string(wanted) : new_request_id();
    return request;
  }

  // Whether the connection goes on.
  net::awaitable<bool> answer(Parser& parser, Clock::time_point begun) {
    const bool chunks = parser.get().version() >= 11;
    const bool keep = parser.keep_alive() && !host_.draining;
    exchange_ = std::make_shared<SocketExchange>(take(parser), executor_, chunks, keep);
    const std::shared_ptr<SocketExchange> exchange = exchange_;
    host_.callbacks.handle(exchange);
    uint64_t sent = 0;
    const bool whole = co_await send_all(*exchange, sent);
    if (!whole) exchange->disconnect();
    host_.callbacks.record({&exchange->request(), exchange->status_, sent,
                            seconds_between(begun, Clock::now()), whole, &exchange->notes});
    exchange->finish();
    exchange_.reset();
    co_return whole && exchange->keep_alive_ && !host_.draining;
  }

  // Sends what the exchange writes until it ends. False: the client has gone.
  net::awaitable<bool> send_all(SocketExchange& exchange, uint64_t& sent) {
    const HttpLimits& limits = host_.options.limits;
    Clock::time_point spoken = Clock::now();
    error_code error;
    while (!exchange.gone_ && !closed_) {
      if (!exchange.out_.empty()) {
        const std::string now = std::exchange(exchange.out_, {});
        lowest().expires_after(to_duration(limits.write_seconds));
        co_await net::async_write(stream_, net::buffer(now), waiting(error));
        if (error) co_return false;
        sent += now.size();
        spoken = Clock::now();
        if (exchange.out_.empty() && exchange.on_sent) std::exchange(exchange.on_sent, nullptr)();
        continue;
      }
      if (exchange.ended_) co_return !exchange.cut_;
      exchange.bell_.expires_after(kLook);
      co_await exchange.bell_.async_wait(waiting(error));
      if (error || !exchange.out_.empty() || exchange.ended_) continue;
      if (peer_has_gone(lowest().socket().native_handle())) co_return false;
      if (seconds_between(spoken, Clock::now()) >= limits.silence_seconds) {
        exchange.fill();
        spoken = Clock::now();
      }
    }
    co_return false;
  }

  SessionHost& host_;
  const Executor executor_;
  const std::string peer_;
  const bool refuse_;
  Timer patience_;
  Stream stream_;
  beast::flat_buffer buffer_;
  std::shared_ptr<SocketExchange> exchange_;
  bool idle_ = false, closed_ = false, out_of_patience_ = false;
};

using StrandSocket = net::basic_stream_socket<net::ip::tcp, Executor>;

}  // namespace

void start_session(SessionHost& host, int fd, bool refuse) {
  const Executor executor(host.io->get_executor());
  StrandSocket socket(executor);
  error_code error;
  const auto family = net::ip::tcp::v4();  // only names the protocol; the descriptor has its own
  socket.assign(family, fd, error);
  if (error) {
    ::close(fd);
    return;
  }
  socket.set_option(net::ip::tcp::no_delay(true), error);
  const auto remote = socket.remote_endpoint(error);
  std::string peer = error ? "unknown" : remote.address().to_string();
  if (host.tls != nullptr) {
    std::make_shared<Session<TlsStream>>(host, executor, std::move(peer), refuse,
                                         PlainStream(std::move(socket)), *host.tls)
        ->start();
  } else {
    std::make_shared<Session<PlainStream>>(host, executor, std::move(peer), refuse,
                                           std::move(socket))
        ->start();
  }
}

}  // namespace ponder
