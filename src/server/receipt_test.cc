#include "server/receipt.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "server/json.h"

namespace ponder {
namespace {

Receipt receipt_of() {
  Receipt out;
  out.id = "0123456789abcdef01234567";
  out.request_id = "req-1";
  out.account = 0xffffffffffffffffu;
  out.created = 1'764'000'000;
  out.path = "/v1/chat/completions";
  out.model = "tiny";
  out.digest = "00ff";
  out.kv_type = "bf16";
  out.build = "0.1.0+abc";
  ReceiptPrompt& prompt = out.prompts.emplace_back();
  prompt.ids = {1, 2, 654'321};
  prompt.tokens = 3;
  prompt.sha256 = hash_of_ids(prompt.ids);
  SamplingParams& s = prompt.sampling;
  s.seed = 0xfffffffffffffff1u;
  s.temperature = 0.1 + 0.2;
  s.top_p = 1.0 / 3;
  s.min_p = 1e-17;
  s.typical_p = 0.9;
  s.epsilon_cutoff = 0.001;
  s.eta_cutoff = 0.002;
  s.repetition_penalty = 1.1;
  s.frequency_penalty = -0.7;
  s.presence_penalty = 0.3;
  s.top_k = 40;
  s.no_repeat_ngram = 3;
  s.min_new_tokens = 2;
  s.max_new_tokens = 77;
  s.stop_ids = {5, 6};
  s.suppress = {9};
  s.logit_bias = {{7, -1.25}, {8, 1e-3}};
  s.min_tokens_to_keep = {1, 2, 3, 4, 5, 6};
  prompt.thinking.open = true;
  prompt.thinking.open_id = 10;
  prompt.thinking.close_id = 11;
  prompt.thinking.budget = 64;
  prompt.thinking.seconds = 2.5;
  prompt.thinking.closing = {4, 11};
  prompt.thinking.before_constraint = {3};
  prompt.loop = {64, 4, 100};
  prompt.constraint =
      ConstraintSpec{ConstraintSpec::Kind::kJsonSchema, R"({"type":"integer"})", {"a", "b"}};
  prompt.constraint->calls = ToolCallSpec{
      CallStyle::kDeepSeekV31, {{"look_up", R"({"type":"object"})"}}, true, false, 0x81};
  prompt.stops = {"\n", "end"};
  ReceiptAnswer& answer = prompt.answers.emplace_back();
  answer.ids = {4, 4, 5};
  answer.tokens = 3;
  answer.sha256 = hash_of_ids(answer.ids);
  answer.finish = "stop";
  answer.thinking_tokens = 2;
  answer.closed_early = true;
  return out;
}

TEST(Receipt, ComesBackAsItWas) {
  const std::string json = receipt_json(receipt_of(), true);
  const Result<Receipt> back = parse_receipt(json);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(receipt_json(*back, true), json);
  const ReceiptPrompt &a = back->prompts[0], b = receipt_of().prompts[0];
  EXPECT_EQ(a.sampling.seed, b.sampling.seed);
  EXPECT_EQ(a.sampling.temperature, b.sampling.temperature);  // to the bit
  EXPECT_EQ(a.sampling.min_p, b.sampling.min_p);
  EXPECT_EQ(a.sampling.logit_bias[1].value, 1e-3);
  EXPECT_EQ(a.sampling.min_tokens_to_keep.eta_cutoff, 6);
  EXPECT_EQ(a.thinking.seconds, 2.5);
  EXPECT_EQ(a.constraint, b.constraint);
  EXPECT_EQ(a.stops, b.stops);
  Receipt plain = receipt_of();
  plain.prompts[0].thinking = {};
  plain.prompts[0].constraint = {};
  const Result<Receipt> again = parse_receipt(receipt_json(plain, true));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->prompts[0].thinking.budget, -1);
  EXPECT_FALSE(std::isfinite(again->prompts[0].thinking.seconds));
  EXPECT_FALSE(again->prompts[0].constraint);
}

TEST(Receipt, TheHashIsOfLittleEndianNumbers) {
  // printf '\x01\0\0\0\x02\x01\0\0' | sha256sum
  const std::vector<int32_t> ids = {1, 258};
  EXPECT_EQ(hash_of_ids(ids), "fb8bbe2ad3ab5292f19bc5d75bbab9b5fbddc5a78ce47ab41b2d3d59bca08596");
}

TEST(Receipt, WithoutIdsItHoldsNoTexts) {
  const std::string json = receipt_json(receipt_of(), false);
  for (const char* text : {"\"ids\"", "look_up", "integer", "end", "654321"}) {
    EXPECT_EQ(json.find(text), std::string::npos) << text;
  }
  const Result<Receipt> back = parse_receipt(json);
  ASSERT_FALSE(back.ok());
  EXPECT_NE(back.status().message().find("--receipts"), std::string::npos);
}

TEST(Receipt, WhatIsWrongIsNamed) {
  const std::string json = receipt_json(receipt_of(), true);
  const std::pair<const char*, const char*> cases[] = {
      {"/id", "id"},
      {"/build", "build"},
      {"/model/digest", "model.digest"},
      {"/prompts", "prompts"},
      {"/prompts/0", "prompts[0]"},
      {"/prompts/0/ids", "prompts[0].ids"},
      {"/prompts/0/sampling/seed", "prompts[0].sampling.seed"},
      {"/prompts/0/sampling/temperature", "prompts[0].sampling.temperature"},
      {"/prompts/0/sampling/top_k", "prompts[0].sampling.top_k"},
      {"/prompts/0/sampling/logit_bias", "prompts[0].sampling.logit_bias"},
      {"/prompts/0/sampling/min_tokens_to_keep", "prompts[0].sampling.min_tokens_to_keep"},
      {"/prompts/0/thinking/closing", "prompts[0].thinking.closing"},
      {"/prompts/0/constraint/kind", "prompts[0].constraint.kind"},
      {"/prompts/0/constraint/calls/style", "prompts[0].constraint.calls.style"},
      {"/prompts/0/answers/0/ids", "prompts[0].answers[0].ids"},
      {"/prompts/0/answers/0/sha256", "prompts[0].answers[0].sha256"},
      {"/prompts/0/answers/0/tokens", "prompts[0].answers[0].tokens"},
  };
  for (const auto& [place, name] : cases) {
    for (const Json& wrong : {Json(true), Json("x"), Json::array({"x"}), Json::array({-1})}) {
      Json changed = Json::parse(json);
      Json& there = changed[Json::json_pointer(place)];
      if (there.type() == wrong.type()) continue;
      there = wrong;
      const Result<Receipt> back = parse_receipt(changed.dump());
      ASSERT_FALSE(back.ok()) << place << wrong;
      EXPECT_NE(back.status().message().find(name), std::string::npos)
          << place << wrong << back.status().message();
    }
  }
  for (const char* text : {"", "[]", "{}", R"({"format":"ponder-receipt-9"})", "{\"format\":"}) {
    EXPECT_FALSE(parse_receipt(text).ok()) << text;
  }
  Json swapped = Json::parse(json);
  swapped["prompts"][0]["answers"][0]["ids"][0] = 5;  // no longer what the hash is of
  EXPECT_FALSE(parse_receipt(swapped.dump()).ok());
}

}  // namespace
}  // namespace ponder
