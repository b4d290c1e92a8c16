// Streams that outlive their connections: what was written is kept, and a client that comes back goes on
// behind the last event that it has.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "server/http.h"

namespace ponder {

// One stream. Its events have the ids "ANSWER-1", "ANSWER-2", ...; what is written behind the last one
// with an id goes with it.
class StreamLog : public std::enable_shared_from_this<StreamLog> {
 public:
  // `total`: bytes that all logs of a server keep.
  StreamLog(std::string id, uint64_t account, StreamStart start,
            std::shared_ptr<std::atomic<size_t>> total);
  ~StreamLog();

  const std::string& id() const { return id_; }
  uint64_t account() const { return account_; }

  // By the writer, one thread at a time. Whole events.
  void append(std::string_view events);
  // `whole`: the stream has had its proper end; else its reader is cut off.
  void end(bool whole = true);

  // On the exchange's sequence: answers it with what is behind event `after`, as soon as that is there,
  // and then with what comes. Who read before is cut off.
  void attach(const std::shared_ptr<Exchange>& exchange, int64_t after);

  // From any thread. How long nobody has been reading.
  double unattended_seconds() const;
  bool ended() const;
  // Only what its reader has not had yet is kept from now on: nobody can come back.
  void forget();
  // Whether somebody reads or can come back.
  bool wanted() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Reader {
    std::weak_ptr<Exchange> exchange;
    int64_t after = 0;  // the event that it has
    size_t at = 0;      // of the bytes, once `placed`
    bool placed = false;
    bool lost = false;  // what it needs is not kept any more
  };
  void wake(const std::shared_ptr<Reader>& reader);
  void pump(const std::shared_ptr<Reader>& reader);
  std::string take(Reader& reader, bool& last);
  void leave(const std::shared_ptr<Reader>& reader);
  bool attended() const;  // with mutex_ held, as the next one
  void drop_until(size_t place);

  const std::string id_;
  const uint64_t account_;
  const StreamStart start_;
  const std::shared_ptr<std::atomic<size_t>> total_;

  mutable std::mutex mutex_;  // over all below
  std::string bytes_;
  size_t dropped_ = 0;        // bytes before bytes_ that are not kept any more
  std::vector<size_t> ends_;  // by event: where it ends, dropped ones counted
  std::shared_ptr<Reader> reader_;
  Clock::time_point left_ = Clock::now();  // when there was a reader last
  bool ended_ = false, cut_ = false;
  bool whole_ = true;  // all is kept, but for what dropped_ says
};

struct StreamLimits {
  // How long a stream goes on without a reader, and how long it is known after its end; 0: no stream can
  // be gone on with.
  double grace_seconds = 30;
  bool always = false;  // else where the request has X-Ponder-Resumable
  size_t streams = 256;
  size_t bytes = 64 << 20;  // kept of all streams; beyond that the oldest are given up
};

class StreamLogs {
 public:
  explicit StreamLogs(StreamLimits limits) : limits_(limits) {}
  const StreamLimits& limits() const { return limits_; }

  // A log for a new stream; null where there are as many as may be, all of them live.
  std::shared_ptr<StreamLog> open(const std::string& id, uint64_t account, StreamStart start);
  // Null: there is none, or it is another account's.
  std::shared_ptr<StreamLog> find(const std::string& id, uint64_t account);
  void drop(const std::string& id);
  // Gives up logs until what is kept is within the limit. To be called now and then by writers.
  void keep_within_limit();
  size_t size();

 private:
  void sweep();  // with mutex_ held

  const StreamLimits limits_;
  const std::shared_ptr<std::atomic<size_t>> total_ = std::make_shared<std::atomic<size_t>>(0);
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<StreamLog>> logs_;  // by id; guarded by mutex_
};

// "0123456789abcdef01234567-12" -> the answer and the event; 0 events for an empty text. False: it is
// neither.
bool parse_event_id(std::string_view text, std::string& answer, int64_t& event);

}  // namespace ponder
