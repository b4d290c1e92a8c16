// What was asked and answered, to the last setting that a token depends on: enough to sample an answer
// again, anywhere, to the same tokens (docs/engine.md has the contract).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "engine/constraint_cache.h"
#include "engine/request.h"

namespace ponder {

struct ReceiptAnswer {
  int64_t tokens = 0;        // those that count: up to the end, also one by a stop string
  std::string sha256;        // hash_of_ids() of them
  std::vector<int32_t> ids;  // whole receipts alone
  std::string finish;        // "stop", "length", ...: as the metrics have it
  int64_t thinking_tokens = 0;
  bool closed_early = false;  // the thinking was ended: thinking_tokens were its budget
};

// A prompt with its answers; the i-th is drawn with the random numbers of sample i.
struct ReceiptPrompt {
  int64_t tokens = 0;
  std::string sha256;        // of the prompt's ids
  std::vector<int32_t> ids;  // whole receipts alone
  SamplingParams sampling;   // the seed in it
  Thinking thinking;
  LoopCheck loop;
  // A receipt that is not whole has its kind and the hash of its text alone.
  std::optional<ConstraintSpec> constraint;
  std::vector<std::string> stops;  // whole receipts alone
  std::vector<ReceiptAnswer> answers;
};

struct Receipt {
  std::string id;          // of the answer: 24 hexadecimal digits
  std::string request_id;  // X-Request-Id
  uint64_t account = 0;    // of the key
  int64_t created = 0;     // seconds since 1970
  std::string path;        // "/v1/chat/completions"
  std::string model, digest;
  std::string kv_type;  // of keys and values: "f16"
  std::string build;    // version and commit of the program
  std::vector<ReceiptPrompt> prompts;
};

// "f32", "f16", "bf16", "q8_0"
const char* kv_type_name(DType type);

// SHA-256 of token ids as little-endian 32-bit numbers, in 64 hexadecimal digits.
std::string hash_of_ids(std::span<const int32_t> ids);

// A JSON object. `whole`: with token ids, stop strings and the constraint, which are or contain texts;
// only such a one can be replayed.
std::string receipt_json(const Receipt& receipt, bool whole);
// kInvalid names the member that is missing or wrong, and says where a receipt is not whole.
Result<Receipt> parse_receipt(std::string_view json);

}  // namespace ponder
