// Any text as a receipt, as an entry of the journal and as the id of an event; what is accepted must survive
// being written and read again.
#include <string_view>

#include "core/sha256.h"
#include "fuzz.h"
#include "server/journal.h"
#include "server/receipt.h"
#include "server/stream_log.h"

namespace ponder {
namespace {

Receipt sample() {
  Receipt out;
  out.id = "0123456789abcdef01234567";
  out.path = "/v1/chat/completions";
  out.model = "tiny";
  out.digest = "00ff";
  out.kv_type = "f16";
  out.build = "0.1.0";
  ReceiptPrompt& prompt = out.prompts.emplace_back();
  prompt.ids = {1, 2, 3};
  prompt.tokens = 3;
  prompt.sha256 = hash_of_ids(prompt.ids);
  prompt.sampling.logit_bias = {{7, -1.25}};
  prompt.sampling.suppress = {4};
  prompt.thinking.budget = 5;
  prompt.constraint = ConstraintSpec{ConstraintSpec::Kind::kJsonSchema, "{}", {"a"}};
  prompt.constraint->calls = ToolCallSpec{CallStyle::kHermes, {{"f", "{}"}}};
  prompt.answers.push_back({1, hash_of_ids(std::vector<int32_t>{9}), {9}, "stop", 0, false});
  return out;
}

JournalEntry sample_entry() {
  JournalEntry out;
  out.id = "0123456789abcdef01234567";
  out.path = "/v1/chat/completions";
  out.body = "{}";
  out.prompt = {1, 2};
  out.hit = 64;
  return out;
}

void check_receipt(std::string_view text) {
  const Result<Receipt> receipt = parse_receipt(text);
  if (!receipt.ok()) return;
  const std::string json = receipt_json(*receipt, true);
  const Result<Receipt> again = parse_receipt(json);
  PONDER_CHECK(again.ok(), again.status().message());
  PONDER_CHECK(receipt_json(*again, true) == json);
}

// The checksum would keep all changes out, so it is put right.
void check_entry(std::string_view text) {
  const size_t line = text.find('\n');
  if (line == std::string_view::npos) return;
  const std::string rest(text.substr(line + 1));
  const Result<JournalEntry> entry =
      parse_journal("ponder-journal-1 " + sha256_hex(rest) + "\n" + rest);
  if (!entry.ok()) return;
  const Result<JournalEntry> again = parse_journal(journal_text(*entry));
  PONDER_CHECK(again.ok(), again.status().message());
  PONDER_CHECK(journal_text(*again) == journal_text(*entry));
}

}  // namespace

void plant(const std::string& folder) {
  const std::string seeds[] = {receipt_json(sample(), true), receipt_json(sample(), false),
                               journal_text(sample_entry()), "0123456789abcdef01234567-12"};
  plant_seeds(folder, seeds);
}

void run(std::string_view text) {
  check_receipt(text);
  check_entry(text);
  PONDER_CHECK(parse_journal(text).ok() == false || text.starts_with("ponder-journal-1 "));
  std::string answer;
  int64_t event = 0;
  if (parse_event_id(text, answer, event)) PONDER_CHECK(is_answer_id(answer) && event >= 0);
}

}  // namespace ponder
