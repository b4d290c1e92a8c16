#include "server/stream_log.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/status.h"
#include "server/file_shelf.h"

namespace ponder {

bool parse_event_id(std::string_view text, std::string& answer, int64_t& event) {
  const size_t dash = std::min(text.rfind('-'), text.size());
  const std::string_view digits = text.substr(std::min(dash + 1, text.size()));
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), event);
  answer = std::string(text.substr(0, dash));
  return is_answer_id(answer) && error == std::errc() && end == digits.data() + digits.size() &&
         event >= 0;
}

StreamLog::StreamLog(std::string id, uint64_t account, StreamStart start,
                     std::shared_ptr<std::atomic<size_t>> total)
    : id_(std::move(id)), account_(account), start_(std::move(start)), total_(std::move(total)) {}

StreamLog::~StreamLog() { *total_ -= bytes_.size(); }

void StreamLog::append(std::string_view events) {
  if (events.empty()) return;
  std::shared_ptr<Reader> reader;
  {
    const std::lock_guard lock(mutex_);
    const size_t before = dropped_ + bytes_.size();
    for (size_t at = 0; at < events.size();) {
      const size_t blank = events.find("\n\n", at);
      PONDER_CHECK(blank != std::string_view::npos, "a stream was given a part of an event");
      if (events.substr(at).starts_with("id: ")) ends_.push_back(before + blank + 2);
      at = blank + 2;
    }
    bytes_ += events;
    *total_ += events.size();
    reader = reader_;
  }
  if (reader) wake(reader);
}

void StreamLog::end(bool whole) {
  std::shared_ptr<Reader> reader;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    cut_ = !whole;
    reader = reader_;
    if (!reader) left_ = Clock::now();
  }
  if (reader) wake(reader);
}

void StreamLog::attach(const std::shared_ptr<Exchange>& exchange, int64_t after) {
  const auto reader = std::make_shared<Reader>();
  reader->exchange = exchange;
  reader->after = after;
  std::shared_ptr<Reader> other;
  {
    const std::lock_guard lock(mutex_);
    other = std::exchange(reader_, reader);
  }
  if (other) {
    if (const auto old = other->exchange.lock()) {
      old->post([old] { old->cut(); });
    }
  }
  const std::weak_ptr<StreamLog> weak = weak_from_this();
  exchange->on_disconnect = [weak, reader] {
    if (const auto self = weak.lock()) self->leave(reader);
  };
  exchange->begin_stream(start_);
  pump(reader);
}

void StreamLog::wake(const std::shared_ptr<Reader>& reader) {
  if (const auto exchange = reader->exchange.lock()) {
    exchange->post([self = shared_from_this(), reader] { self->pump(reader); });
  }
}

// What the reader may have now; `last`: and nothing comes behind it.
std::string StreamLog::take(Reader& reader, bool& last) {
  const std::lock_guard lock(mutex_);
  if (reader_.get() != &reader) return {};  // another one came
  if (!reader.placed) {
    const auto after = static_cast<size_t>(reader.after);
    if (ends_.size() < after && !ended_) return {};  // it is written again, up to there
    reader.placed = true;
    reader.at = after == 0 ? 0 : ends_.size() < after ? dropped_ + bytes_.size() : ends_[after - 1];
  }
  if (reader.at < dropped_) {
    reader.lost = true;
    reader_ = nullptr;
    return {};
  }
  std::string out = bytes_.substr(reader.at - dropped_, Exchange::kMostBacklog);
  reader.at += out.size();
  last = ended_ && reader.at == dropped_ + bytes_.size();
  if (!whole_) drop_until(reader.at);
  if (last) {
    reader.lost = cut_;
    reader_ = nullptr;
    left_ = Clock::now();
  }
  return out;
}

void StreamLog::pump(const std::shared_ptr<Reader>& reader) {
  const auto exchange = reader->exchange.lock();
  if (!exchange) return;
  while (true) {
    if (exchange->backlog() > Exchange::kMostBacklog) {
      // It holds the log, which may be given up meanwhile: the reader gets what it has not had yet.
      exchange->on_sent = [self = shared_from_this(), reader] { self->pump(reader); };
      return;
    }
    bool last = false;
    const std::string bytes = take(*reader, last);
    exchange->write(bytes);
    if (reader->lost || last) {
      exchange->on_disconnect = nullptr;
      return reader->lost ? exchange->cut() : exchange->end();
    }
    if (bytes.empty()) return;
  }
}

void StreamLog::leave(const std::shared_ptr<Reader>& reader) {
  const std::lock_guard lock(mutex_);
  if (reader_ != reader) return;
  reader_ = nullptr;
  left_ = Clock::now();
}

bool StreamLog::attended() const { return reader_ && !reader_->exchange.expired(); }

void StreamLog::drop_until(size_t place) {
  const size_t had = place - dropped_;
  bytes_.erase(0, had);
  dropped_ = place;
  *total_ -= had;
}

double StreamLog::unattended_seconds() const {
  const std::lock_guard lock(mutex_);
  return attended() ? 0 : std::chrono::duration<double>(Clock::now() - left_).count();
}

bool StreamLog::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

void StreamLog::forget() {
  const std::lock_guard lock(mutex_);
  whole_ = false;
  if (!attended()) {
    drop_until(dropped_ + bytes_.size());
  } else if (reader_->placed && reader_->at > dropped_) {
    drop_until(reader_->at);
  }
}

bool StreamLog::wanted() const {
  const std::lock_guard lock(mutex_);
  return whole_ || attended();
}

std::shared_ptr<StreamLog> StreamLogs::open(const std::string& id, uint64_t account,
                                            StreamStart start) {
  const std::lock_guard lock(mutex_);
  sweep();
  if (logs_.size() >= limits_.streams) {
    const auto over = std::find_if(logs_.begin(), logs_.end(),
                                   [](const auto& row) { return row.second->ended(); });
    if (over == logs_.end()) return nullptr;
    logs_.erase(over);
  }
  auto log = std::make_shared<StreamLog>(id, account, std::move(start), total_);
  logs_[id] = log;
  return log;
}

std::shared_ptr<StreamLog> StreamLogs::find(const std::string& id, uint64_t account) {
  const std::lock_guard lock(mutex_);
  sweep();
  const auto row = logs_.find(id);
  return row == logs_.end() || row->second->account() != account ? nullptr : row->second;
}

void StreamLogs::drop(const std::string& id) {
  const std::lock_guard lock(mutex_);
  logs_.erase(id);
}

void StreamLogs::sweep() {
  std::erase_if(logs_, [&](const auto& row) {
    return row.second->ended() && row.second->unattended_seconds() > limits_.grace_seconds;
  });
}

void StreamLogs::keep_within_limit() {
  if (*total_ <= limits_.bytes) return;
  const std::lock_guard lock(mutex_);
  sweep();
  for (const bool live : {false, true}) {
    for (auto at = logs_.begin(); at != logs_.end() && *total_ > limits_.bytes;) {
      if (live || at->second->ended()) {
        at->second->forget();
        at = logs_.erase(at);
      } else {
        ++at;
      }
    }
  }
}

size_t StreamLogs::size() {
  const std::lock_guard lock(mutex_);
  return logs_.size();
}

}  // namespace ponder
