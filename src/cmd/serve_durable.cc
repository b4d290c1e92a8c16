#include "cmd/serve_durable.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace ponder {
namespace {

constexpr int64_t kMostMib = int64_t{1} << 30;

}  // namespace

void add_durable_flags(CLI::App& app, DurableFlags& f) {
  app.add_option("--receipts", f.receipts,
                 "folder for the receipts of all answers, with their token ids; none by default");
  app.add_option("--receipts-mib", f.receipts_mib, "its size")
      ->check(CLI::Range(int64_t{1}, kMostMib));
  app.add_flag("--resumable", f.resumable,
               "every stream can be gone on with, not only where X-Ponder-Resumable asks for it");
  app.add_option("--resume-seconds", f.resume_seconds,
                 "how long such a stream goes on without its client (30); 0: none can be")
      ->check(CLI::Range(0.0, 86400.0));
  app.add_option("--journal", f.journal,
                 "folder that lets such streams survive a restart of the server; none by default");
  app.add_option("--journal-mib", f.journal_mib, "its size")
      ->check(CLI::Range(int64_t{1}, kMostMib));
}

Status apply_durable_flags(const DurableFlags& f, ServiceOptions& options) {
  options.build = PONDER_BUILD;
  options.streams.grace_seconds = f.resume_seconds;
  options.streams.always = f.resumable;
  if (!f.receipts.empty()) {
    FileShelfOptions shelf;
    shelf.folder = f.receipts;
    shelf.suffix = ".json";
    shelf.max_bytes = f.receipts_mib << 20;
    Result<std::unique_ptr<FileShelf>> opened = FileShelf::open(shelf);
    if (!opened.ok()) return opened.status().with_prefix("--receipts");
    options.receipts = std::make_shared<ReceiptStore>(std::move(opened).value());
  }
  if (f.journal.empty()) return {};
  JournalOptions journal;
  journal.folder = f.journal;
  journal.max_bytes = f.journal_mib << 20;
  if (options.log) {
    journal.trouble = [log = options.log](const std::string& problem) {
      log(nlohmann::ordered_json{{"time", iso_time()}, {"journal", problem}}.dump(
          -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    };
  }
  Result<std::unique_ptr<Journal>> opened = Journal::open(std::move(journal));
  if (!opened.ok()) return opened.status().with_prefix("--journal");
  options.journal = std::move(opened).value();
  return {};
}

}  // namespace ponder
