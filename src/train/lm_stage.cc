// pretrain, sft and the second half of distill: next-token prediction on packed documents.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "train/cross_entropy.h"
#include "train/data_file.h"
#include "train/trainer.h"

namespace ponder {
namespace {

// The documents of a stage by number.
class Documents {
 public:
  static Result<Documents> open(const Trainer& t, const Stage& stage) {
    Documents out;
    out.seed_ = t.seed_of("documents");
    const std::string& source = stage.kind == StageKind::kDistill ? stage.name : stage.data;
    if (source.empty()) {
      out.generated_ = std::make_unique<GeneratedCorpus>(t.recipe, stage, t.format, out.seed_);
      return out;
    }
    DataOptions options{mask_from(stage.mask), t.model.config().max_position_embeddings,
                        stage.long_rows == "skip"};
    std::string path = source;
    if (find_stage(t.recipe, source)) {
      path = stage_data(t.options.out, source);
      RETURN_IF_ERROR(check_unchanged(t, path, source));
      options.skip_long = true;  // nobody can mend them
    }
    ASSIGN_OR_RETURN(DataRows rows, read_data(path, t.format, options));
    out.rows_ = std::move(rows.documents);
    out.skipped_ = rows.skipped;
    if (out.skipped_ > 0) {
      t.note(fmt::format("{}: {} rows of {} are longer than the model's context and left out",
                         stage.name, out.skipped_, path));
    }
    return out;
  }

  int64_t skipped() const { return skipped_; }

  // Tokens that the stage trains on.
  int64_t total_tokens(const Stage& stage) const {
    if (stage.tokens > 0) return stage.tokens;
    int64_t total = 0;
    for (const Document& d : rows_) total += static_cast<int64_t>(d.ids.size()) - 1;
    return total * std::max<int64_t>(1, stage.epochs);
  }

  Result<Document> get(int64_t index, double share_done) {
    if (generated_) return generated_->document(static_cast<uint64_t>(index), share_done);
    // Every epoch in an order of its own.
    const int64_t count = static_cast<int64_t>(rows_.size()), epoch = index / count;
    if (epoch != epoch_) {
      order_.resize(rows_.size());
      for (size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<uint32_t>(i);
      Rng(seed_, hash64("epoch"), static_cast<uint64_t>(epoch))
          .shuffle(std::span<uint32_t>(order_));
      epoch_ = epoch;
    }
    return rows_[order_[static_cast<size_t>(index % count)]];
  }

 private:
  // That the file is the one which the stage before wrote.
  static Status check_unchanged(const Trainer& t, const std::string& path,
                                const std::string& stage) {
    ASSIGN_OR_RETURN(const std::string hash, file_hash(path));
    const auto expected = t.progress.hashes.find("data/" + stage + ".jsonl");
    if (expected != t.progress.hashes.end() && expected->second == hash) return {};
    return invalid(
        path + ": is not as stage " + stage +
        " left it; expected it unchanged: run the recipe again in another --out, or name "
        "a copy of the file as data");
  }

  std::unique_ptr<GeneratedCorpus> generated_;
  std::vector<Document> rows_;
  std::vector<uint32_t> order_;
  int64_t epoch_ = -1, skipped_ = 0;
  uint64_t seed_ = 0;
};

struct StepData {
  std::vector<PackedBatch> batches;
  int64_t tokens = 0;  // read, not scored
  int64_t scored = 0;
};

Result<StepData> next_step(Trainer& t, const Stage& stage, Documents& documents, int64_t total) {
  StepData out;
  const double done = static_cast<double>(t.progress.tokens) / static_cast<double>(total);
  while (out.tokens < stage.tokens_per_step) {
    ASSIGN_OR_RETURN(const Document d, documents.get(t.progress.documents, done));
    ++t.progress.documents;
    const int64_t size = static_cast<int64_t>(d.ids.size()) - 1;
    if (size > t.model.config().max_position_embeddings) {
      return invalid(
          fmt::format("a document of {} tokens is longer than max_position_embeddings", size));
    }
    if (out.batches.empty() || out.batches.back().tokens() + size > stage.micro_tokens)
      out.batches.emplace_back();
    append_document(out.batches.back(), d.ids, d.scored);
    Rng rng(t.seed_of("positions"), hash64(stage.name),
            static_cast<uint64_t>(t.progress.documents));
    if (rng.uniform() < stage.stretch) {
      stretch_positions(out.batches.back(), rng, t.model.config().max_position_embeddings);
    }
    out.tokens += size;
  }
  for (const PackedBatch& b : out.batches) out.scored += static_cast<int64_t>(b.rows.size());
  return out;
}

// Loss of one micro-batch; gradients go to the learner.
double accumulate(Learner& learner, const PackedBatch& batch, const CrossEntropyParams& params,
                  double scored) {
  double value = 0;
  learner.accumulate(
      batch, 1.0f, [&](std::span<const LogprobRow> rows, std::span<LogprobRow> d_rows) {
        std::vector<CrossEntropyRow> in(rows.size());
        std::vector<CrossEntropyGrad> out(rows.size());
        for (size_t i = 0; i < rows.size(); ++i) {
          in[i] = {static_cast<double>(rows[i].logprob), static_cast<double>(rows[i].lse),
                   static_cast<double>(rows[i].mean), 1.0};
        }
        value = cross_entropy(params, in, scored, out);
        for (size_t i = 0; i < rows.size(); ++i) {
          d_rows[i].logprob = static_cast<float>(out[i].logp_target);
          d_rows[i].lse = static_cast<float>(out[i].lse);
          d_rows[i].mean = static_cast<float>(out[i].mean_logp);
        }
      });
  return value;
}

}  // namespace

Result<bool> Trainer::run_lm_stage() {
  const Stage& s = stage();
  ASSIGN_OR_RETURN(Documents documents, Documents::open(*this, s));
  const int64_t total = documents.total_tokens(s);
  const int64_t steps = std::max<int64_t>(1, total / s.tokens_per_step);
  const CrossEntropyParams loss_params{s.label_smoothing, s.z_loss};
  const AdamWParams adamw = adamw_of(s);
  const double begun = seconds_now();
  const int64_t first = progress.stage_step;
  note(fmt::format("{}: {} steps of {} tokens", s.name, steps, s.tokens_per_step));
  while (progress.stage_step < steps) {
    if (stop_requested()) {
      RETURN_IF_ERROR(save_checkpoint());
      return false;
    }
    const double start = seconds_now();
    ASSIGN_OR_RETURN(const StepData data, next_step(*this, s, documents, total));
    double loss = 0, sequences = 0;
    for (const PackedBatch& batch : data.batches)
      sequences += static_cast<double>(batch.segments.size());
    learner->set_expert_rules(s.balance_alpha / sequences, s.bias_update_speed);
    for (const PackedBatch& batch : data.batches) {
      loss += accumulate(*learner, batch, loss_params, static_cast<double>(data.scored));
    }
    const double lr = learning_rate(s, progress.stage_step, steps);
    const Result<double> stepped = learner->step(lr, adamw, s.clip);
    if (!stepped.ok()) {
      return stepped.status().with_prefix(
          fmt::format("stage {} step {}", s.name, progress.stage_step + 1));
    }
    const double norm = *stepped;
    progress.tokens += data.tokens;
    ++progress.stage_step;
    ++progress.global_step;
    const double now = seconds_now(), seconds = now - start;
    const double rate = static_cast<double>(data.tokens) / seconds;
    nlohmann::json row = {{"steps", steps},           {"loss", loss},          {"lr", lr},
                          {"grad_norm", norm},        {"tokens", data.tokens}, {"seconds", seconds},
                          {"tokens_per_second", rate}};
    if (documents.skipped() > 0) row["rows_skipped"] = documents.skipped();
    RETURN_IF_ERROR(write_metrics(row));
    if (observer.step) {
      StepReport r;
      r.stage = s.name;
      r.kind = s.kind;
      r.step = progress.stage_step;
      r.steps = steps;
      r.seconds = seconds;
      r.tokens_per_second = rate;
      r.seconds_left = (now - begun) / static_cast<double>(progress.stage_step - first) *
                       static_cast<double>(steps - progress.stage_step);
      r.loss = loss;
      observer.step(r);
    }
    if (is_due(s.checkpoint_every, progress.stage_step - 1, progress.stage_step)) {
      RETURN_IF_ERROR(save_checkpoint());
    }
  }
  return true;
}

}  // namespace ponder
