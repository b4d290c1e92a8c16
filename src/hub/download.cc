#include "hub/download.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include "core/file.h"
#include "core/sha256.h"
#include "io/json.h"

namespace ponder {
namespace {

constexpr size_t kMaxValidator = 4096;
constexpr int kMaxConnections = 10000;  // for one file, however much each of them brings
constexpr std::string_view kGgufMagic = "GGUF";

Status failed(const char* what, const std::string& path) {
  return Status(errno == ENOSPC || errno == EDQUOT ? Code::kExhausted : Code::kInvalid,
                fmt::format("{}: cannot {}: {}", path, what, std::strerror(errno)));
}

// SHA-1 of "blob SIZE\0" and the bytes: what git calls the file.
class GitHash {
 public:
  explicit GitHash(int64_t size) : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    PONDER_CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha1(), nullptr) == 1);
    const std::string head = fmt::format("blob {}", size);
    update({head.c_str(), head.size() + 1});
  }
  void update(std::string_view bytes) {
    PONDER_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    PONDER_CHECK(EVP_DigestFinal_ex(context_.get(), digest, &size) == 1);
    std::string out;
    for (unsigned i = 0; i < size; ++i) out += fmt::format("{:02x}", unsigned{digest[i]});
    return out;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

// The file that collects the bytes, open and locked.
struct Part {
  std::string path, validator_path;
  Descriptor file;
  int64_t size = 0;
  std::string validator;  // ETag or Last-Modified of the answer that it is from; empty: not known
};

// One download: the part, the hashes of its bytes, and what the server said.
class Download {
 public:
  Download(StoreWriter& writer, Http& http, Credentials& credentials, const DownloadSource& source,
           const TransferOptions& options)
      : writer_(writer),
        http_(http),
        credentials_(credentials),
        source_(source),
        options_(options),
        total_(source.size) {}

  Result<Layer> run(std::string_view media_type);

 private:
  Status open_part();
  Status begin_again();
  Status hash_part();
  Status fetch_rest();
  Status attempt();
  Status on_headers(const HttpResponse& answer);
  Status check_room() const;
  Status append(std::string_view bytes);
  Status check_bytes(std::string& digest);
  Status step(const char* status) const {
    return report(options_,
                  {fmt::format("{} {}", status, source_.what), source_.digest, part_.size, total_});
  }
  bool verifiable() const { return !source_.digest.empty() || !source_.git_id.empty(); }

  StoreWriter& writer_;
  Http& http_;
  Credentials& credentials_;
  const DownloadSource& source_;
  const TransferOptions& options_;
  int64_t total_;
  Part part_;
  std::optional<Sha256> hash_;
  std::optional<GitHash> git_hash_;
  bool resumed_ = false;  // some of the bytes are from an earlier answer
};

// The lock is the part's own: who waits for it may find the blob in the store afterwards, and the part
// gone.
Status Download::open_part() {
  const std::string key = source_.digest.empty() ? "url-" + sha256_hex(source_.url + source_.git_id)
                                                 : "sha256-" + source_.digest.substr(7);
  part_.path = writer_.part_path(key);
  part_.validator_path = part_.path + ".validator";
  for (bool waiting = false;; waiting = true) {
    ASSIGN_OR_RETURN(part_.file, lock_file(part_.path, LockMode::kAlone, waiting ? 1.0 : 0.0));
    if (part_.file.open()) {
      struct stat held {
      }, named{};
      if (::fstat(part_.file.get(), &held) != 0) return failed("read", part_.path);
      const bool same = ::stat(part_.path.c_str(), &named) == 0 && held.st_ino == named.st_ino;
      if (!same) continue;
      part_.size = held.st_size;
      break;
    }
    RETURN_IF_ERROR(report(options_, {"waiting for another process that pulls " + source_.what,
                                      source_.digest, 0, total_}));
  }
  const Result<std::string> validator = read_file(part_.validator_path, kMaxValidator);
  if (validator.ok()) part_.validator = *validator;
  const bool usable = verifiable() || !part_.validator.empty();
  if (part_.size > 0 && (!usable || (total_ >= 0 && part_.size > total_))) return begin_again();
  return {};
}

Status Download::begin_again() {
  if (::ftruncate(part_.file.get(), 0) != 0) return failed("write", part_.path);
  ::unlink(part_.validator_path.c_str());
  part_.size = 0;
  part_.validator.clear();
  resumed_ = false;
  return hash_part();
}

// The hashes of what the part holds already.
Status Download::hash_part() {
  hash_.emplace();
  git_hash_.reset();
  if (!source_.git_id.empty()) git_hash_.emplace(total_);
  std::string buffer(size_t{1} << 20, '\0');
  for (int64_t at = 0; at < part_.size;) {
    const ssize_t n = ::pread(part_.file.get(), buffer.data(), buffer.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("read", part_.path);
    const std::string_view bytes(buffer.data(), static_cast<size_t>(n));
    hash_->update(bytes);
    if (git_hash_) git_hash_->update(bytes);
    at += n;
  }
  return {};
}

Status Download::check_room() const {
  struct statvfs disk {};
  if (total_ < 0 || ::statvfs(part_.path.c_str(), &disk) != 0) return {};
  const auto free = static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
  if (free >= total_ - part_.size) return {};
  return exhausted(
      fmt::format("{}: {} bytes are to come and {} are free in {}; make room, or set "
                  "PONDER_MODELS to a folder on another disk",
                  source_.what, total_ - part_.size, free, writer_.store().root()));
}

Status Download::on_headers(const HttpResponse& answer) {
  if (answer.status != 200 && answer.status != 206) return {};  // attempt() looks at those
  int64_t first = 0, last = 0, total = -1;
  if (answer.status == 206) {
    const std::string* range = answer.header("content-range");
    if (range == nullptr || !parse_content_range(*range, first, last, total) ||
        first != part_.size) {
      return invalid(fmt::format("{}: the answer is another part of the file than was asked for",
                                 source_.url));
    }
  } else {
    // No ranges, or the file has changed.
    if (part_.size > 0 || !part_.validator.empty()) RETURN_IF_ERROR(begin_again());
    const std::string* length = answer.header("content-length");
    int64_t value = 0;
    if (length != nullptr && answer.header("content-encoding") == nullptr) {
      const char* end = length->data() + length->size();
      if (std::from_chars(length->data(), end, value).ptr == end && value >= 0) total = value;
    }
    const std::string* validator = answer.header("etag");
    if (validator == nullptr || validator->starts_with("W/")) {
      validator = answer.header("last-modified");
    }
    if (!verifiable() && validator != nullptr && validator->size() <= kMaxValidator) {
      RETURN_IF_ERROR(write_file_atomic(part_.validator_path, *validator));
      part_.validator = *validator;
    }
  }
  if (total >= 0 && total_ >= 0 && total != total_) {
    return invalid(fmt::format("{}: has {} bytes, expected {}", source_.url, total, total_));
  }
  if (total > kMaxBlobBytes) {
    return exhausted(
        fmt::format("{}: has {} bytes, more than {}", source_.url, total, kMaxBlobBytes));
  }
  if (total_ < 0) total_ = total;
  return check_room();
}

Status Download::append(std::string_view bytes) {
  if (total_ >= 0 && static_cast<int64_t>(bytes.size()) > total_ - part_.size) {
    return invalid(fmt::format("{}: sends more than its {} bytes", source_.url, total_));
  }
  if (part_.size + static_cast<int64_t>(bytes.size()) > kMaxBlobBytes) {
    return exhausted(fmt::format("{}: has more than {} bytes", source_.url, kMaxBlobBytes));
  }
  if (source_.gguf && part_.size == 0 && bytes.size() >= kGgufMagic.size() &&
      !bytes.starts_with(kGgufMagic)) {
    return invalid(fmt::format("{}: is no GGUF file; it begins with {}", source_.url,
                               in_quotes(bytes.substr(0, 16))));
  }
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::pwrite(part_.file.get(), bytes.data() + done, bytes.size() - done,
                               part_.size + static_cast<int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write", part_.path);
    done += static_cast<size_t>(n);
  }
  hash_->update(bytes);
  if (git_hash_) git_hash_->update(bytes);
  part_.size += static_cast<int64_t>(bytes.size());
  return step("pulling");
}

// One answer of the server; ok when the part is whole.
Status Download::attempt() {
  if (total_ >= 0 && part_.size == total_) return {};
  HttpRequest request;
  request.url = source_.url;
  request.headers = credentials_.headers();
  if (part_.size > 0) {
    resumed_ = true;
    request.headers.push_back(fmt::format("Range: bytes={}-", part_.size));
    if (!part_.validator.empty()) request.headers.push_back("If-Range: " + part_.validator);
  }
  std::string refusal;
  bool good = false;
  Result<HttpResponse> answer = http_.stream(
      request,
      [&](const HttpResponse& head) {
        good = head.status == 200 || head.status == 206;
        return on_headers(head);
      },
      [&](std::string_view bytes) -> Status {
        if (good) return append(bytes);
        constexpr size_t kMaxRefusal = 4096;
        refusal.append(bytes.substr(0, kMaxRefusal - std::min(kMaxRefusal, refusal.size())));
        return {};
      });
  if (!answer.ok()) return answer.status();
  if (good) {
    if (total_ < 0) total_ = part_.size;
    return part_.size == total_ ? Status()
                                : io_error(fmt::format("{}: ends after {} of {} bytes", source_.url,
                                                       part_.size, total_));
  }
  answer->body = refusal;
  if (answer->status == 401) {
    RETURN_IF_ERROR(credentials_.renew(http_, *answer));
    return status_error(*answer);
  }
  if (answer->status == 416 && part_.size > 0) {
    RETURN_IF_ERROR(begin_again());
    return io_error(source_.url + ": has no such part any more");
  }
  return status_error(*answer);
}

Status Download::fetch_rest() {
  int fruitless = 0, renewals = 0;
  for (int connections = 0; connections < kMaxConnections; ++connections) {
    const int64_t before = part_.size;
    const std::vector<std::string> headers = credentials_.headers();
    const Status status = attempt();
    if (status.ok()) return status;
    if (credentials_.headers() != headers && ++renewals <= 3) continue;  // with the new token
    if (!worth_retrying(status)) return status;
    fruitless = part_.size > before ? 1 : fruitless + 1;
    if (fruitless >= options_.attempts) return status;
    RETURN_IF_ERROR(wait_before(fruitless, options_, status.message()));
  }
  return exhausted(fmt::format("{}: breaks off again and again", source_.url));
}

Status Download::check_bytes(std::string& digest) {
  digest = "sha256:" + hash_->hex();
  const bool right = source_.digest.empty() || digest == source_.digest;
  if (right && (!git_hash_ || git_hash_->hex() == source_.git_id)) return {};
  return invalid(fmt::format(
      "{}: the {} bytes that came are not those that were announced ({}); they "
      "are not kept",
      source_.url, part_.size, source_.digest.empty() ? source_.git_id : source_.digest));
}

Result<Layer> Download::run(std::string_view media_type) {
  Layer layer{std::string(media_type), source_.digest, total_, {}};
  RETURN_IF_ERROR(open_part());
  if (!layer.digest.empty() && total_ >= 0 && writer_.store().has_blob(layer.digest, total_)) {
    ::unlink(part_.path.c_str());
    return layer;
  }
  RETURN_IF_ERROR(step("pulling"));
  RETURN_IF_ERROR(hash_part());
  resumed_ = part_.size > 0;
  RETURN_IF_ERROR(check_room());
  for (bool again = false;; again = true) {
    RETURN_IF_ERROR(fetch_rest());
    RETURN_IF_ERROR(step("pulling"));
    const bool from_parts = resumed_;
    const Status status = check_bytes(layer.digest);
    if (status.ok()) break;
    RETURN_IF_ERROR(begin_again());
    // An earlier part may be from before the file changed, or may not have reached the disk.
    if (!from_parts || again) {
      ::unlink(part_.path.c_str());
      return status;
    }
    RETURN_IF_ERROR(report(
        options_, {"the resumed bytes are wrong; beginning again", source_.digest, 0, total_}));
  }
  layer.size = part_.size;
  RETURN_IF_ERROR(writer_.adopt(part_.path, layer.digest));
  ::unlink(part_.validator_path.c_str());
  return layer;
}

bool number(std::string_view& text, int64_t& out) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  if (error != std::errc() || out < 0) return false;
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  return true;
}

bool literal(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

}  // namespace

bool parse_content_range(std::string_view text, int64_t& first, int64_t& last, int64_t& total) {
  total = -1;
  if (!literal(text, "bytes ") || !number(text, first) || !literal(text, "-") ||
      !number(text, last) || !literal(text, "/")) {
    return false;
  }
  if (text == "*") return first <= last;
  return number(text, total) && text.empty() && first <= last && last < total;
}

Result<Layer> download(StoreWriter& writer, Http& http, Credentials& credentials,
                       const DownloadSource& source, std::string_view media_type,
                       const TransferOptions& options) {
  if (!source.digest.empty() && source.size >= 0 &&
      writer.store().has_blob(source.digest, source.size)) {
    return Layer{std::string(media_type), source.digest, source.size, {}};
  }
  PONDER_CHECK(source.git_id.empty() || source.size >= 0);
  return Download(writer, http, credentials, source, options).run(media_type);
}

}  // namespace ponder
