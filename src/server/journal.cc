#include "server/journal.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/sha256.h"
#include "server/fields.h"

namespace ponder {
namespace {

constexpr std::string_view kHead = "ponder-journal-1 ";
constexpr size_t kHashDigits = 64;
constexpr int64_t kMostValues = 4'000'000;  // token ids, most of all
constexpr auto kMostCount = int64_t{1} << 40;

Status damaged(const std::string& why) { return invalid("a damaged entry of the journal: " + why); }

bool read_ids(const Json& list, std::vector<int32_t>& out) {
  for (const Json& one : list) {
    if (!one.is_number_integer() || one < 0 || one > INT32_MAX) return false;
    out.push_back(one.get<int32_t>());
  }
  return true;
}

Result<JournalEntry> read_entry(std::string_view json) {
  ASSIGN_OR_RETURN(const Json parsed, parse_object(json, {.values = kMostValues}));
  Fields fields(parsed);
  JournalEntry out;
  const auto whole_number = [&](const char* name, uint64_t& to) {
    const auto at = parsed.find(name);
    if (at != parsed.end() && at->is_number_unsigned()) {
      to = at->get<uint64_t>();
    } else {
      fields.fail(name, std::string(name) + " is no whole number");
    }
  };
  out.id = fields.text("id").value_or("");
  whole_number("account", out.account);
  out.created = fields.integer("created", 0, kMostCount).value_or(0);
  out.request_id = fields.text("request_id").value_or("");
  out.path = fields.text("path").value_or("");
  out.body = fields.text("body").value_or("");
  out.digest = fields.text("digest").value_or("");
  whole_number("seed", out.seed);
  const Json* ids = fields.list("prompt", 1 << 22);
  if (ids == nullptr || !read_ids(*ids, out.prompt)) fields.fail("prompt", "prompt has no ids");
  out.hit = fields.integer("hit", 0, kMostCount);
  if (!fields.ok()) return invalid(fields.error().message);
  return out;
}

}  // namespace

std::string journal_text(const JournalEntry& entry) {
  Json out = {{"id", entry.id},           {"account", entry.account},
              {"created", entry.created}, {"request_id", entry.request_id},
              {"path", entry.path},       {"body", entry.body},
              {"digest", entry.digest},   {"seed", entry.seed},
              {"prompt", entry.prompt}};
  if (entry.hit) out["hit"] = *entry.hit;
  const std::string json = dump(out);
  return std::string(kHead) + sha256_hex(json) + "\n" + json;
}

Result<JournalEntry> parse_journal(std::string_view text) {
  const size_t head = kHead.size() + kHashDigits + 1;
  if (!text.starts_with(kHead) || text.size() < head || text[head - 1] != '\n') {
    return damaged("it does not begin as one");
  }
  if (sha256_hex(text.substr(head)) != text.substr(kHead.size(), kHashDigits)) {
    return damaged("its checksum is another one");
  }
  const Result<JournalEntry> entry = read_entry(text.substr(head));
  return entry.ok() ? entry : damaged(entry.status().message());
}

Result<std::unique_ptr<Journal>> Journal::open(JournalOptions options) {
  FileShelfOptions shelf;
  shelf.folder = options.folder;
  shelf.suffix = ".journal";
  shelf.max_bytes = options.max_bytes;
  shelf.keep_seconds = options.keep_seconds;
  ASSIGN_OR_RETURN(std::unique_ptr<FileShelf> opened, FileShelf::open(std::move(shelf)));
  return std::unique_ptr<Journal>(new Journal(std::move(opened), std::move(options.trouble)));
}

void Journal::write(const JournalEntry& entry, std::function<void(Status)> then) {
  shelf_->write(entry.id, journal_text(entry), [this, then = std::move(then)](Status status) {
    if (!status.ok() && trouble_) trouble_(status.message());
    then(std::move(status));
  });
}

void Journal::read(const std::string& id, uint64_t account,
                   std::function<void(Result<JournalEntry>)> then) {
  if (!is_answer_id(id)) return then(not_found("no such stream"));
  shelf_->read(id, [this, id, account, then = std::move(then)](Result<std::string> file) {
    if (!file.ok()) return then(not_found("no such stream"));
    Result<JournalEntry> entry = parse_journal(*file);
    if (entry.ok() && entry->id != id) entry = damaged("it is that of another stream");
    if (!entry.ok()) {
      if (trouble_) trouble_(id + ": " + entry.status().message());
      return then(not_found("no such stream"));
    }
    if (entry->account != account) return then(not_found("no such stream"));
    then(std::move(entry));
  });
}

}  // namespace ponder
