// The vocabulary of the procedural tasks (chain, countdown): 256 symbols, written as an ordinary
// Hugging Face tokenizer.json, so that the same loader and the same BPE read it as any other.
//
//   id        token
//   0..9      <pad> <bos> <eos> <user> <assistant> <think> </think> <answer> </answer> <unk>
//   10..106   the numbers 0 to 96 (10..19 are the digits)
//   107..     + - * / = ; ? ( ) , . : < > space newline
//   123..     wait, check, so, "wait " and "check " with a space at their end
//   128..     zero to nine, plus minus times makes
//   142..238  N0 to N96
//   239..252  the fourteen words again, each with a space at its end
//   253..255  <unused253> ... : never made from text
//
// Text is cut into words, N-numbers, numbers and single characters; there are no merges. A
// character that has no token is <unk>, several in a row are one. <think> </think> <answer>
// </answer> are ordinary text to decode(); the other six of the first ten are special. Encoding
// with add_special puts <bos> in front.
#pragma once

#include <cstdint>
#include <string>

namespace ponder {

enum class SymbolNumbers : uint8_t {
  // From the left, two digits are one token if they make 10..96, else a digit is one: 137 is 13 7,
  // 97 is 9 7, 100 is 10 0, 05 is 0 5.
  kWhole,
  // Every digit is a token. Ids 20..106 are then <unused20> ... ; N-numbers stay whole.
  kDigits,
};

struct SymbolIds {
  static constexpr int32_t kPad = 0, kBos = 1, kEos = 2, kUser = 3, kAssistant = 4, kThink = 5,
                           kThinkEnd = 6, kAnswer = 7, kAnswerEnd = 8, kUnknown = 9;
  static constexpr int32_t kNumbers = 10;  // of 0; 1 to 96 follow
  static constexpr int32_t kSize = 256;
};

std::string symbol_tokenizer_json(SymbolNumbers numbers);

// Names bos, eos, pad and unk, and a chat template: <bos><user>QUESTION<assistant>ANSWER<eos>.
std::string symbol_tokenizer_config_json();

}  // namespace ponder
