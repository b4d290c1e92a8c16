#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "hub/pull.h"

namespace ponder {
namespace {

constexpr size_t kMaxAnswer = 65536;
constexpr int64_t kChunk = int64_t{64} << 20;  // bytes of one PATCH

// One upload to a registry, as Docker's distribution specification has it: POST opens a session, PATCH sends
// chunks in order, PUT with the digest closes it. Each answer says where the next request goes.
class Upload {
 public:
  Upload(Http& http, Credentials& credentials, std::string root, const TransferOptions& options)
      : http_(http), credentials_(credentials), root_(std::move(root)), options_(options) {}

  Status blob(const Store& store, const Layer& layer);

 private:
  Result<HttpResponse> ask(HttpRequest request) {
    Credentials& who = credentials_for(request.url);
    return fetch_with(http_, who, std::move(request), kMaxAnswer, options_);
  }
  // A registry may send the bytes to a storage host; the token is for the registry alone.
  Credentials& credentials_for(const std::string& url) {
    return url_host(url) == url_host(root_) ? credentials_ : nobody_;
  }
  Status next_from(const HttpResponse& answer);
  Status open_session();
  Status send_chunks(const Descriptor& file, const Layer& layer);
  Status send_chunk(const Descriptor& file, const Layer& layer, int64_t& sent);
  Result<int64_t> received();
  Status close_session(const Layer& layer);
  Status step(const Layer& layer, int64_t sent) const {
    return report(options_,
                  {"pushing " + layer.digest.substr(7, 12), layer.digest, sent, layer.size});
  }

  Http& http_;
  Credentials& credentials_;
  Credentials nobody_ = Credentials::of_token({}, "the registry should not ask for one there");
  std::string root_, next_;
  const TransferOptions& options_;
  bool opened_ = false;
};

Status Upload::next_from(const HttpResponse& answer) {
  const std::string* location = answer.header("docker-upload-location");
  if (location == nullptr) location = answer.header("location");
  if (location == nullptr) {
    return invalid(answer.url + ": the registry does not say where the next part goes");
  }
  next_ = url_join(answer.url, *location);
  if (url_scheme(next_) != url_scheme(root_)) {
    return invalid(fmt::format("{}: wants the upload to go to {}", answer.url, next_));
  }
  return {};
}

Status Upload::open_session() {
  HttpRequest request;
  request.method = "POST";
  request.url = root_ + "/blobs/uploads/";
  ASSIGN_OR_RETURN(const HttpResponse answer, ask(std::move(request)));
  opened_ = answer.status == 202;
  if (answer.status == 201) return {};  // it has the blob by other ways
  if (!opened_) return status_error(answer);
  return next_from(answer);
}

// How many bytes of the session the registry holds.
Result<int64_t> Upload::received() {
  HttpRequest request;
  request.url = next_;
  ASSIGN_OR_RETURN(const HttpResponse answer, ask(std::move(request)));
  if (answer.status != 204) return status_error(answer);
  if (answer.header("location") != nullptr) RETURN_IF_ERROR(next_from(answer));
  const std::string* range = answer.header("range");  // "0-99": a hundred bytes
  if (range == nullptr) return int64_t{0};
  int64_t last = 0;
  const size_t dash = range->find('-');
  const char* end = range->data() + range->size();
  if (dash == std::string::npos ||
      std::from_chars(range->data() + dash + 1, end, last).ptr != end || last < 0) {
    return invalid(fmt::format("{}: a Range of another form than 0-99", answer.url));
  }
  return last == 0 ? 0 : last + 1;  // "0-0" is what an empty session says
}

Status Upload::send_chunk(const Descriptor& file, const Layer& layer, int64_t& sent) {
  HttpRequest request;
  request.method = "PATCH";
  request.url = next_;
  request.upload_fd = file.get();
  request.upload_offset = sent;
  request.upload_size = std::min(kChunk, layer.size - sent);
  Credentials& who = credentials_for(next_);
  request.headers = who.headers();
  request.headers.push_back("Content-Type: application/octet-stream");
  request.headers.push_back(
      fmt::format("Content-Range: {}-{}", sent, sent + request.upload_size - 1));
  http_.on_tick = [&](int64_t bytes) { return step(layer, sent + bytes).ok(); };
  const Result<HttpResponse> answer = http_.fetch(request, kMaxAnswer);
  http_.on_tick = nullptr;
  if (!answer.ok()) return answer.status();
  if (answer->status == 401) {
    RETURN_IF_ERROR(who.renew(http_, *answer));
    return io_error(answer->url + ": the token has run out");
  }
  // A part of the chunk has come by a connection that broke: it is to be asked which.
  if (answer->status == 416) return io_error(answer->url + ": the upload is out of step");
  if (answer->status < 200 || answer->status > 299) return status_error(*answer);
  sent += request.upload_size;
  return next_from(*answer);
}

Status Upload::send_chunks(const Descriptor& file, const Layer& layer) {
  int fruitless = 0;
  for (int64_t sent = 0; sent < layer.size;) {
    const int64_t before = sent;
    Status status = send_chunk(file, layer, sent);
    if (status.ok()) {
      fruitless = 0;
      RETURN_IF_ERROR(step(layer, sent));
      continue;
    }
    if (!worth_retrying(status) || ++fruitless >= options_.attempts) return status;
    RETURN_IF_ERROR(wait_before(fruitless, options_, status.message()));
    const Result<int64_t> there = received();
    if (!there.ok()) {  // the session is lost
      RETURN_IF_ERROR(open_session());
      if (!opened_) return {};
    }
    sent = there.ok() ? *there : 0;
    if (sent > layer.size) return invalid(root_ + ": has more bytes of the blob than there are");
    if (sent > before) fruitless = 0;
  }
  return {};
}

Status Upload::close_session(const Layer& layer) {
  HttpRequest request;
  request.method = "PUT";
  request.url = next_ + (next_.find('?') == std::string::npos ? "?" : "&") +
                "digest=" + url_escape(layer.digest);
  ASSIGN_OR_RETURN(const HttpResponse answer, ask(std::move(request)));
  return answer.status == 200 || answer.status == 201 ? Status() : status_error(answer);
}

Status Upload::blob(const Store& store, const Layer& layer) {
  RETURN_IF_ERROR(step(layer, 0));
  HttpRequest head;
  head.method = "HEAD";
  head.url = fmt::format("{}/blobs/{}", root_, layer.digest);
  ASSIGN_OR_RETURN(const HttpResponse there, ask(std::move(head)));
  if (there.status != 404 && there.status != 200) return status_error(there);
  if (there.status == 404) {
    const std::string path = store.blob_path(layer.digest);
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.open()) return io_error(path + ": cannot open: " + std::strerror(errno));
    RETURN_IF_ERROR(open_session());
    if (opened_) {
      RETURN_IF_ERROR(send_chunks(file, layer));
      if (opened_) RETURN_IF_ERROR(close_session(layer));
    }
  }
  return step(layer, layer.size);
}

}  // namespace

Status push_model(Store& store, const ModelName& name, const TransferOptions& options) {
  if (name.on_hugging_face()) {
    return unsupported(name.display() +
                       ": this program does not write to hf.co; its own tools do, from the folder "
                       "that ponder convert makes");
  }
  RETURN_IF_ERROR(report(options, {"retrieving manifest", {}, 0, -1}));
  ASSIGN_OR_RETURN(const StoredModel model, store.find(name));
  if (model.name.host == ModelName::kDefaultHost &&
      model.name.space == ModelName::kDefaultNamespace) {
    return invalid(
        fmt::format("{}: give it a name with your account first: ponder cp {} ACCOUNT/{}",
                    model.name.display(), model.name.display(), model.name.model));
  }
  ASSIGN_OR_RETURN(const StoreWriter writer, store.writer());  // holds off removal
  ASSIGN_OR_RETURN(const std::string base, registry_of(name, options));
  const std::string root = fmt::format("{}/v2/{}/{}", base, model.name.space, model.name.model);
  Http http(options.http);
  Credentials credentials = Credentials::of_challenge();
  std::vector<Layer> layers = model.manifest.layers;
  layers.push_back(model.manifest.config);
  Upload upload(http, credentials, root, options);
  for (const Layer& layer : layers) RETURN_IF_ERROR(upload.blob(store, layer));
  RETURN_IF_ERROR(report(options, {"pushing manifest", {}, 0, -1}));
  HttpRequest request;
  request.method = "PUT";
  request.url = fmt::format("{}/manifests/{}", root, model.name.tag);
  request.headers = {std::string("Content-Type: ") + kManifestType};
  request.body = model.json;
  ASSIGN_OR_RETURN(const HttpResponse answer,
                   fetch_with(http, credentials, request, kMaxAnswer, options));
  if (answer.status < 200 || answer.status > 299) return status_error(answer);
  return report(options, {"success", {}, 0, -1});
}

}  // namespace ponder
