// grpo: sample groups of answers, grade them, and move the policy towards the better ones of each
// group (Shao et al. 2024; DeepSeek-R1, section 2.2).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "eval/rewards.h"
#include "train/advantages.h"
#include "train/plan.h"
#include "train/policy_loss.h"
#include "train/problem_source.h"
#include "train/rollout.h"
#include "train/trainer.h"

namespace ponder {
namespace {

// What one update did.
struct UpdateReport {
  double loss = 0, grad_norm = 0, lr = 0;
  PolicyStats stats;
  double dlogp_max = 0;
  int64_t compared = 0;  // tokens whose log-probability was compared
  int64_t tokens = 0;    // forward and backward
};

// The engine of a stage, with room for its longest prompt so far.
class StageEngine {
 public:
  StageEngine(const Trainer& t, const Stage& s) : t_(t), s_(s), cap_(length_cap_at(s, s.steps)) {}

  Result<Engine*> with_room(int64_t prompt_tokens) {
    if (engine_ == nullptr || prompt_tokens > room_) {
      room_ = prompt_room(prompt_tokens);
      engine_.reset();  // its memory first
      ASSIGN_OR_RETURN(
          engine_, make_engine(t_.model, t_.pool, s_.prompts_per_rollout * s_.group, room_, cap_));
    }
    return engine_.get();
  }

 private:
  const Trainer& t_;
  const Stage& s_;
  int64_t cap_;
  int64_t room_ = 0;  // tokens of a prompt
  std::unique_ptr<Engine> engine_;
};

Result<Rollout> sample_rollout(Trainer& t, const Stage& s, const ProblemSource& source,
                               StageEngine& sampler, int64_t index, int64_t cap) {
  Rollout out;
  const double start = seconds_now();
  size_t longest = 0;
  for (int64_t j = 0; j < s.prompts_per_rollout; ++j) {
    const auto number = static_cast<uint64_t>(index * s.prompts_per_rollout + j);
    ASSIGN_OR_RETURN(Problem problem, source.training_problem(t.seed_of("problems"), number));
    ASSIGN_OR_RETURN(ChatPrompt prompt, t.format.question(problem.prompt));
    longest = std::max(longest, prompt.ids.size());
    out.prompts.push_back(std::move(prompt.ids));
    out.problems.push_back(std::move(problem));
  }
  ASSIGN_OR_RETURN(Engine* const engine_of_stage, sampler.with_room(static_cast<int64_t>(longest)));
  Engine& engine = *engine_of_stage;
  const SamplingParams sampling =
      sampling_of(t.format, t.model.config(), t.seed_of("answers"), s.temperature, 1.0, cap);
  std::vector<RequestId> requests;
  for (size_t j = 0; j < out.prompts.size(); ++j) {
    Request request;
    request.prompt = out.prompts[j];
    request.n = static_cast<int32_t>(s.group);
    request.sampling = sampling;
    request.key =
        (static_cast<uint64_t>(index * s.prompts_per_rollout) + j) * static_cast<uint64_t>(s.group);
    ASSIGN_OR_RETURN(const RequestId id, engine.submit(std::move(request)));
    requests.push_back(id);
  }
  while (engine.busy()) RETURN_IF_ERROR(engine.step());
  for (size_t j = 0; j < requests.size(); ++j) {
    ASSIGN_OR_RETURN(Output output, engine.take(requests[j]));
    for (Answer& answer : output.answers) {
      if (answer.reason == FinishReason::kError) return invalid("sampling: " + answer.error);
      Sample sample;
      sample.prompt = j;
      sample.answer = std::move(answer);
      out.samples.push_back(std::move(sample));
    }
  }
  out.sample_seconds = seconds_now() - start;
  return out;
}

// Whether an answer that cannot move the policy is left out of the computation. Under bnpo its
// tokens count in the normaliser all the same.
bool is_idle(const Stage& s, const Sample& sample) {
  return sample.masked ||
         (sample.advantage == 0 && s.beta == 0 && s.skip_zero_variance && s.loss != "bnpo");
}

// Every reward of the stage, also those that do not count at this step.
Status grade_sample(Trainer& t, const Stage& s, const Task& task, const Problem& problem,
                    int64_t cap, Sample& sample) {
  std::span<const int32_t> body = sample.answer.tokens;
  if (!sample.truncated()) body = body.first(body.size() - 1);  // without the stop token
  sample.text = t.tokenizer.decode(body, false);
  sample.grade = task.grade(problem, sample.text);
  if (task.language_share != nullptr) {
    sample.language = task.language_share(problem, sample.text);
  }
  if (task.readable != nullptr) sample.readable = task.readable(problem, sample.text);
  const RewardInput input{task,         problem, sample.text,      sample.answer.tokens,
                          sample.grade, cap,     s.overlong_window};
  const auto add = [&](std::string_view name) -> Status {
    const Reward* reward = find_reward(name);
    PONDER_CHECK(reward != nullptr, std::string(name));
    ASSIGN_OR_RETURN(const double value, reward_value(*reward, input));
    sample.rewards.push_back(value);
    return {};
  };
  if (sample.truncated() && s.truncated == "zero_reward") {
    sample.rewards.assign(s.rewards.size(), 0.0);
  } else {
    for (const RewardWeight& r : s.rewards) RETURN_IF_ERROR(add(r.name));
  }
  if (s.truncated == "soft_penalty") RETURN_IF_ERROR(add("overlong"));
  sample.masked = sample.truncated() && s.truncated == "mask";
  return {};
}

Status grade_rollout(Trainer& t, const Stage& s, const Task& task, Rollout& rollout, int64_t cap) {
  const double start = seconds_now();
  std::vector<size_t> counted;  // rewards in force
  std::vector<double> weights, rewards;
  for (size_t r = 0; r < s.rewards.size(); ++r) {
    if (!is_in_force(s.rewards[r], t.progress.stage_step)) continue;
    counted.push_back(r);
    weights.push_back(s.rewards[r].weight);
  }
  if (s.truncated == "soft_penalty") {
    counted.push_back(s.rewards.size());
    weights.push_back(1.0);
  }
  for (Sample& sample : rollout.samples) {
    const Status graded = grade_sample(t, s, task, rollout.problems[sample.prompt], cap, sample);
    if (!graded.ok()) {
      return graded.with_prefix(fmt::format("stage {} step {}", s.name, t.progress.stage_step + 1));
    }
    for (const size_t r : counted) rewards.push_back(sample.rewards[r]);
  }
  const Advantages a = compute_advantages(*advantage_kind_from(s.advantage), s.advantage_eps,
                                          s.group, weights, rewards);
  for (size_t i = 0; i < rollout.samples.size(); ++i) {
    rollout.samples[i].reward = a.rewards[i];
    rollout.samples[i].advantage = a.values[i];
  }
  rollout.frac_zero_std = a.frac_zero_std();
  rollout.reward_seconds = seconds_now() - start;
  return {};
}

PolicyLossParams loss_params(const Stage& s) {
  PolicyLossParams p;
  const PolicyLossName* name = find_policy_loss(s.loss);
  PONDER_CHECK(name != nullptr, s.loss);
  const auto on = [](double value) { return value > 0 ? value : kPolicyOff; };
  p.objective = name->objective;
  p.normalizer = name->normalizer;
  p.level = *ratio_level_from(s.ratio_level);
  p.eps_low = s.eps_low;
  p.eps_high = s.eps_high;
  p.delta = on(s.delta);
  p.dual_clip = on(s.dual_clip);
  p.log_ratio_clamp = on(s.log_ratio_clamp);
  p.cispo_max = s.cispo_max;
  p.sapo_pos = s.sapo_pos;
  p.sapo_neg = s.sapo_neg;
  p.off_policy_delta = on(s.off_policy_delta);
  p.beta = s.beta;
  p.kl = *kl_form_from(s.kl);
  p.kl_bias_correction = s.kl_bias_correction;
  p.max_len = s.max_len;
  return p;
}

// Samples packed for one forward pass: families of answers to one prompt.
struct Micro {
  PackedBatch batch;
  std::vector<size_t> samples;  // in the order of the scored rows
};

// The samples of an update that can move the policy, in micro-batches of at most micro_tokens (or
// one answer).
std::vector<Micro> pack(const Rollout& rollout, std::span<const size_t> chosen, const Stage& s) {
  std::vector<Micro> out;
  std::vector<std::span<const int32_t>> answers;
  std::vector<size_t> members;
  size_t prompt = 0;
  const auto flush = [&] {
    if (answers.empty()) return;
    const std::vector<int32_t>& ids = rollout.prompts[prompt];
    const int64_t size = family_tokens(static_cast<int64_t>(ids.size()), answers);
    if (out.empty() ||
        (out.back().batch.tokens() > 0 && out.back().batch.tokens() + size > s.micro_tokens)) {
      out.emplace_back();
    }
    append_family(out.back().batch, ids, answers);
    out.back().samples.insert(out.back().samples.end(), members.begin(), members.end());
    answers.clear();
    members.clear();
  };
  int64_t size = 0;
  for (size_t i : chosen) {
    const Sample& sample = rollout.samples[i];
    if (is_idle(s, sample)) continue;
    if (!answers.empty() && (sample.prompt != prompt || size + sample.tokens() > s.micro_tokens))
      flush();
    if (answers.empty()) size = static_cast<int64_t>(rollout.prompts[sample.prompt].size());
    prompt = sample.prompt;
    answers.push_back(sample.answer.tokens);
    members.push_back(i);
    size += sample.tokens();
  }
  flush();
  return out;
}

// Between sampler and trainer it must be exactly 0; infinite if one is not a number.
double largest_difference(std::span<const float> a, std::span<const float> b) {
  double out = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    out = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(out, d);
    if (std::isinf(out)) break;
  }
  return out;
}

// Adds the gradient of one micro-batch. `fresh`: the policy is still the one that sampled.
Status accumulate(Trainer& t, const Stage& s, const Rollout& rollout, const Micro& micro,
                  const PolicyLossParams& params, const PolicyTotals& totals, bool fresh,
                  UpdateReport& report) {
  std::vector<int64_t> offsets = {0};
  std::vector<float> old, reference;
  std::vector<double> advantages;
  for (size_t i : micro.samples) {
    const Sample& sample = rollout.samples[i];
    old.insert(old.end(), sample.answer.logprobs.begin(), sample.answer.logprobs.end());
    offsets.push_back(static_cast<int64_t>(old.size()));
    advantages.push_back(sample.advantage);
  }
  const float temperature = static_cast<float>(s.temperature);
  if (t.reference != nullptr) {
    for (const LogprobRow& row : t.learner->score(*t.reference, micro.batch, temperature)) {
      reference.push_back(row.logprob);
    }
  }
  const auto loss_of = [&](std::span<const LogprobRow> rows, std::span<LogprobRow> d_rows) {
    std::vector<float> logp(rows.size()), grad(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) logp[i] = rows[i].logprob;
    if (fresh) {
      report.dlogp_max = std::max(report.dlogp_max, largest_difference(logp, old));
      report.compared += static_cast<int64_t>(rows.size());
    }
    const PolicyBatch batch{offsets, logp, old, reference, {}, {}, advantages};
    const PolicyLoss loss = policy_loss(params, batch, totals, grad);
    report.loss += loss.value;
    report.stats.merge(loss.stats);
    for (size_t i = 0; i < rows.size(); ++i) d_rows[i].logprob = grad[i];
  };
  t.learner->accumulate(micro.batch, temperature, loss_of);
  report.tokens += micro.batch.tokens();
  return {};
}

Result<UpdateReport> update(Trainer& t, const Stage& s, const Rollout& rollout,
                            std::span<const size_t> chosen, bool fresh) {
  const PolicyLossParams params = loss_params(s);
  const std::vector<Micro> micros = pack(rollout, chosen, s);
  PolicyTotals totals;
  totals.sequences = static_cast<int64_t>(chosen.size());
  totals.micro_batches = std::max<int64_t>(1, static_cast<int64_t>(micros.size()));
  for (size_t i : chosen)
    totals.tokens += rollout.samples[i].masked ? 0 : rollout.samples[i].tokens();
  UpdateReport report;
  double sequences = 0;
  for (const Micro& micro : micros) sequences += static_cast<double>(micro.batch.segments.size());
  t.learner->set_expert_rules(s.balance_alpha / std::max(1.0, sequences), s.bias_update_speed);
  for (const Micro& micro : micros) {
    RETURN_IF_ERROR(accumulate(t, s, rollout, micro, params, totals, fresh, report));
  }
  if (report.dlogp_max != 0) {
    return invalid(fmt::format(
        "{} step {}: sampler and trainer disagree on a log-probability by {:g}; they must be equal "
        "to "
        "the last bit. This is a defect of the program: please report it with the recipe and seed",
        s.name, t.progress.stage_step + 1, report.dlogp_max));
  }
  report.lr = learning_rate(s, t.progress.stage_step, s.steps);
  const Result<double> norm = t.learner->step(report.lr, adamw_of(s), s.clip);
  if (!norm.ok()) {
    return norm.status().with_prefix(
        fmt::format("stage {} step {}", s.name, t.progress.stage_step + 1));
  }
  report.grad_norm = *norm;
  return report;
}

struct PhaseSeconds {
  double sample = 0, reward = 0, forward = 0, backward = 0, optimizer = 0;
};

nlohmann::json metrics_row(const Rollout& rollout, const RolloutStats& l, const UpdateReport& u,
                           const PhaseSeconds& phase, double seconds, int64_t steps) {
  nlohmann::json row = rollout_metrics(rollout, l);
  row.update(nlohmann::json{{"steps", steps},
                            {"loss", u.loss},
                            {"lr", u.lr},
                            {"grad_norm", u.grad_norm},
                            {"tokens", u.tokens},
                            {"seconds", seconds},
                            {"tokens_per_second", static_cast<double>(u.tokens) / seconds},
                            {"peak_memory_bytes", peak_memory_bytes()},
                            {"kl", u.stats.kl()},
                            {"ratio_min", u.stats.ratio_min},
                            {"ratio_mean", u.stats.ratio_mean()},
                            {"ratio_max", u.stats.ratio_max},
                            {"clip_low", u.stats.clip_low()},
                            {"clip_high", u.stats.clip_high()},
                            {"dlogp_max", u.dlogp_max},
                            {"dlogp_tokens", u.compared},
                            {"seconds_sample", phase.sample},
                            {"seconds_reward", phase.reward},
                            {"seconds_forward", phase.forward},
                            {"seconds_backward", phase.backward},
                            {"seconds_optimizer", phase.optimizer}});
  return row;
}

void report_step(const Trainer& t, const Stage& s, const Rollout& rollout, const RolloutStats& l,
                 const UpdateReport& u, double seconds, double mean_seconds) {
  if (!t.observer.step) return;
  StepReport r;
  r.stage = s.name;
  r.kind = s.kind;
  r.step = t.progress.stage_step;
  r.steps = s.steps;
  r.seconds = seconds;
  r.tokens_per_second = static_cast<double>(l.tokens + u.tokens) / seconds;
  r.seconds_left = mean_seconds * static_cast<double>(s.steps - r.step);
  r.loss = u.loss;
  r.reward = l.reward_mean;
  r.accuracy = l.accuracy;
  r.length = l.length_mean;
  const Sample& shown = rollout.samples[static_cast<size_t>(r.step) % rollout.samples.size()];
  r.sample_prompt = rollout.problems[shown.prompt].prompt;
  r.sample_answer = shown.text;
  t.observer.step(r);
}

// The samples of every minibatch of one inner epoch.
std::vector<std::vector<size_t>> minibatches(const Trainer& t, const Stage& s, size_t samples,
                                             int64_t rollout) {
  std::vector<size_t> order(samples);
  for (size_t i = 0; i < samples; ++i) order[i] = i;
  const size_t count = static_cast<size_t>(s.minibatches_per_rollout);
  if (count > 1) {
    Rng(t.seed_of("minibatches"), 0, static_cast<uint64_t>(rollout))
        .shuffle(std::span<size_t>(order));
  }
  std::vector<std::vector<size_t>> out;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = samples * i / count, end = samples * (i + 1) / count;
    std::vector<size_t> part(order.begin() + static_cast<int64_t>(begin),
                             order.begin() + static_cast<int64_t>(end));
    std::sort(part.begin(), part.end());  // answers to one prompt together
    out.push_back(std::move(part));
  }
  return out;
}

Status refresh_reference(Trainer& t, const Stage& s) {
  if (s.beta == 0) return {};
  if (t.reference == nullptr) {
    ASSIGN_OR_RETURN(Model copy, t.model.copy());
    t.reference = std::make_unique<Model>(std::move(copy));
  } else if (s.reference_refresh > 0 && t.progress.stage_step % s.reference_refresh == 0) {
    t.reference->copy_weights(t.model);
  }
  return {};
}

// `before`: the stage's step when this was last asked.
Status evaluate_if_due(Trainer& t, const Stage& s, int64_t before) {
  if (!is_due(s.eval_every, before, t.progress.stage_step)) return {};
  Stage settings = default_stage(StageKind::kEval);
  settings.problems = s.eval_problems;
  settings.samples = 1;
  settings.split = "dev";
  settings.temperature = s.temperature;
  settings.top_p = 1.0;
  settings.max_tokens = length_cap_at(s, t.progress.stage_step);
  settings.ks = {};
  ASSIGN_OR_RETURN(const EvalReport report, t.evaluate_now(settings, s.name + "-dev"));
  if (report.pass1.mean <= t.progress.best) return {};
  t.progress.best = report.pass1.mean;
  t.progress.best_step = t.progress.global_step;
  return t.save_checkpoint();
}

}  // namespace

Result<bool> Trainer::run_grpo_stage() {
  const Stage& s = stage();
  if (progress.stage_step == 0 || (s.beta > 0 && reference == nullptr)) {
    RETURN_IF_ERROR(refresh_reference(*this, s));
  }
  ASSIGN_OR_RETURN(const ProblemSource source, ProblemSource::open(recipe, s));
  StageEngine sampler(*this, s);
  const int64_t per_rollout = updates_per_rollout(s);
  const double begun = seconds_now();
  const int64_t first = progress.stage_step;
  while (progress.stage_step < s.steps) {
    if (stop_requested()) {
      RETURN_IF_ERROR(save_checkpoint());
      return false;
    }
    double start = seconds_now();
    const int64_t before_rollout = progress.stage_step;
    const int64_t index = progress.stage_step / per_rollout,
                  cap = length_cap_at(s, progress.stage_step);
    ASSIGN_OR_RETURN(Rollout rollout, sample_rollout(*this, s, source, sampler, index, cap));
    RETURN_IF_ERROR(grade_rollout(*this, s, source.task(), rollout, cap));
    const RolloutStats stats = summarize(rollout, s);
    bool fresh = true;
    for (int64_t u = 0; u < per_rollout && progress.stage_step < s.steps; ++u) {
      const auto parts = minibatches(*this, s, rollout.samples.size(),
                                     index * s.inner_epochs + u / s.minibatches_per_rollout);
      const Learner::Seconds before = learner->seconds();
      ASSIGN_OR_RETURN(const UpdateReport report,
                       update(*this, s, rollout,
                              parts[static_cast<size_t>(u % s.minibatches_per_rollout)], fresh));
      ++progress.stage_step;
      ++progress.global_step;
      progress.tokens += report.tokens;
      if (fresh) {
        for (const std::string& row : completion_rows(s, progress, rollout)) {
          RETURN_IF_ERROR(completions.append(row));
        }
      }
      const Learner::Seconds& after = learner->seconds();
      const PhaseSeconds phase{fresh ? rollout.sample_seconds : 0,
                               fresh ? rollout.reward_seconds : 0, after.forward - before.forward,
                               after.backward - before.backward,
                               after.optimizer - before.optimizer};
      const double now = seconds_now();
      RETURN_IF_ERROR(
          write_metrics(metrics_row(rollout, stats, report, phase, now - start, s.steps)));
      report_step(*this, s, rollout, stats, report, now - start,
                  (now - begun) / static_cast<double>(progress.stage_step - first));
      start = now;
      fresh = false;
      RETURN_IF_ERROR(refresh_reference(*this, s));
    }
    RETURN_IF_ERROR(evaluate_if_due(*this, s, before_rollout));
    // Between rollouts only: a resumed run samples the next one again, to the same tokens.
    if (is_due(s.checkpoint_every, before_rollout, progress.stage_step)) {
      RETURN_IF_ERROR(save_checkpoint());
    }
  }
  return true;
}

}  // namespace ponder
