// Any two texts as gold and answer: the verifier comes to a verdict with a reason, the same one each
// time, and an answer that is equal votes for the gold's class.
#include <cstring>
#include <string_view>

#include "eval/answer_verify.h"
#include "fuzz.h"

namespace ponder {

void plant(const std::string& /*folder*/) {}

void run(std::string_view text) {
  const size_t cut = text.find('\x01');
  const std::string_view gold = text.substr(0, cut);
  const std::string_view answer =
      cut == std::string_view::npos ? std::string_view() : text.substr(cut + 1);
  VerifyOptions options;
  if (!gold.empty()) {  // the first byte varies the settings
    const auto bits = static_cast<unsigned char>(gold[0]);
    options.strict = (bits & 1) != 0;
    options.ordered_lists = (bits & 2) != 0;
    options.round_both = (bits & 4) != 0;
    options.latex = (bits & 8) == 0;
    if ((bits & 16) != 0) options.choices = {"12", "x + 1", "none"};
  }
  const Verdict verdict = verify(gold, answer, options);
  PONDER_CHECK(verdict.reason != nullptr && verdict.reason[0] != '\0');
  PONDER_CHECK(!verdict.equal || !verdict.key.empty());
  const Verdict again = verify(gold, answer, options);
  PONDER_CHECK(again.equal == verdict.equal && again.key == verdict.key &&
               std::strcmp(again.reason, verdict.reason) == 0);
  const Verdict itself = verify(gold, gold, options);
  PONDER_CHECK(!verdict.equal || !itself.equal || itself.key == verdict.key);
  answer_key(answer, options);
}

}  // namespace ponder
