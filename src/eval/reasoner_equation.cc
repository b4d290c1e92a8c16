// Linear equations in x, undone from the outside in: each line says what both sides become.
#include <fmt/format.h>

#include <algorithm>

#include "eval/reasoner_parts.h"

namespace ponder::reasoner {
namespace {

// One thing done to x, outermost last: + n, - n, * n, / n, or n minus it ('m').
struct Layer {
  char op = '+';
  int n = 0;
};

// "3*(2x+1)-4" as text. `letter` is the unknown.
std::string side(std::span<const Layer> layers, char letter, bool spaced) {
  std::string text(1, letter);
  bool sum = false;
  const auto sign = [&](std::string_view s) {
    return spaced ? fmt::format(" {} ", s) : std::string(s);
  };
  for (const Layer& layer : layers) {
    if (layer.op == '*') {
      text = sum                ? fmt::format("{}({})", layer.n, text)
             : text.size() == 1 ? fmt::format("{}{}", layer.n, text)
                                : fmt::format("{}({})", layer.n, text);
      sum = false;
    } else if (layer.op == '/') {
      text = sum ? fmt::format("({})/{}", text, layer.n) : fmt::format("{}/{}", text, layer.n);
      sum = false;
    } else if (layer.op == 'm') {
      text = sum ? fmt::format("{}{}({})", layer.n, sign("-"), text)
                 : fmt::format("{}{}{}", layer.n, sign("-"), text);
      sum = true;
    } else {
      text = fmt::format("{}{}{}", text, sign(std::string_view(&layer.op, 1)), layer.n);
      sum = true;
    }
  }
  return text;
}

std::string_view doing(Language language, char op) {
  const bool english = language == Language::kEnglish;
  switch (op) {
    case '+':
      return english ? "Subtract {0}: {1}" : "两边减{0}：{1}";
    case '-':
      return english ? "Add {0}: {1}" : "两边加{0}：{1}";
    case '*':
      return english ? "Divide by {0}: {1}" : "两边除以{0}：{1}";
    case '/':
      return english ? "Multiply by {0}: {1}" : "两边乘{0}：{1}";
    default:
      return english ? "Take from {0}: {1}" : "用{0}减：{1}";
  }
}

std::optional<Worked> undo_layer(const Layer& layer, int right) {
  switch (layer.op) {
    case '+':
      return work(right, '-', layer.n);
    case '-':
      return work(right, '+', layer.n);
    case '*':
      return work(right, '/', layer.n);
    case '/':
      return work(right, '*', layer.n);
    default:
      return work(layer.n, '-', right);
  }
}

// Layers around x whose values all stay within 0..400; `values` gets one more than there are layers.
bool draw_layers(Rng& rng, int count, std::vector<Layer>& layers, std::vector<int>& values) {
  while (static_cast<int>(layers.size()) < count) {
    const int value = values.back();
    const char before = layers.empty() ? ' ' : layers.back().op;
    const bool product = before == '*' || before == '/';
    const bool sum = before == '+' || before == '-' || before == 'm';
    const double kind = rng.uniform();
    Layer layer;
    if (kind < 0.40 && !product) {
      layer = {'*', rng.between(2, 9)};
      if (value * layer.n > 400) layer.n = rng.between(2, 3);
    } else if (kind < 0.50 && !product) {
      layer = {'/', rng.between(2, 9)};
      if (value % layer.n != 0) continue;
    } else if (kind < 0.56 && !sum) {
      layer = {'m', value + number(rng, 1, 60)};
    } else if (!sum) {
      const bool minus = chance(rng, 0.5) && value > 1;
      layer = {minus ? '-' : '+', minus ? number(rng, 1, value - 1) : number(rng, 1, 80)};
    } else {
      continue;
    }
    const int next = layer.op == '*'   ? value * layer.n
                     : layer.op == '/' ? value / layer.n
                     : layer.op == 'm' ? layer.n - value
                     : layer.op == '-' ? value - layer.n
                                       : value + layer.n;
    if (next < 0 || next > 400) return false;
    layers.push_back(layer);
    values.push_back(next);
  }
  return true;
}

std::string equation_text(std::span<const Layer> layers, char letter, int right, bool spaced) {
  return fmt::format("{}{}{}", side(layers, letter, spaced), spaced ? " = " : "=", right);
}

// An equation whose left side is x in layers; `values` are those of x, of the first layer, and so on.
struct Drawn {
  std::vector<Layer> layers;
  std::vector<int> values;
  char letter = 'x';
  std::string shown, lines;  // in the question; the solution's first lines, up to the layers
};

std::optional<Drawn> nested(Rng& rng, int x, char letter, int steps, bool spaced) {
  Drawn out;
  out.letter = letter;
  out.values = {x};
  if (!draw_layers(rng, steps, out.layers, out.values)) return {};
  const int right = out.values.back();
  out.shown = chance(rng, 0.12) ? fmt::format("{}{}{}", right, spaced ? " = " : "=",
                                              side(out.layers, letter, spaced))
                                : equation_text(out.layers, letter, right, spaced);
  out.lines = equation_text(out.layers, letter, right, false);
  return out;
}

// ax+b = cx+d: the term of the right side goes first, then (a-c)x+b = d is undone.
std::optional<Drawn> both_sides(Rng& rng, Language language, int x, char letter, bool spaced) {
  const int c = rng.between(1, 7), a = rng.between(c + 2, 9);
  const int product = (a - c) * x;
  const bool minus = chance(rng, 0.4);
  const int n = minus ? number(rng, 1, std::max(1, product - 1)) : number(rng, 1, 80);
  const int right = product + (minus ? -n : n);
  if (product > 400 || right <= 0) return {};
  Drawn out;
  out.letter = letter;
  out.layers = {{'*', a - c}, {minus ? '-' : '+', n}};
  out.values = {x, product, right};
  const std::string cx = c == 1 ? std::string(1, letter) : fmt::format("{}{}", c, letter);
  std::vector<Layer> full = out.layers;
  full[0].n = a;
  const auto text = [&](bool spaces) {
    return fmt::format("{}{}{}{}{}", side(full, letter, spaces), spaces ? " = " : "=", cx,
                       spaces ? " + " : "+", right);
  };
  out.shown = text(spaced);
  out.lines =
      fmt::format(fmt::runtime(language == Language::kEnglish ? "{}\nSubtract {}: {}-{}={}, so {}"
                                                              : "{}\n两边减{}：{}-{}={}，得{}"),
                  text(false), cx, a, c, a - c, equation_text(out.layers, letter, right, false));
  return out;
}

// Undoes the layers, outermost first; false if an operation is beyond work().
bool undo_all(Language language, Drawn& e) {
  for (size_t i = e.layers.size(); i-- > 0;) {
    const auto worked = undo_layer(e.layers[i], e.values[i + 1]);
    if (!worked || worked->result != e.values[i]) return false;
    const std::span<const Layer> rest(e.layers.data(), i);
    e.lines += "\n" + fill(doing(language, e.layers[i].op), {num(e.layers[i].n), worked->text});
    e.lines += (language == Language::kEnglish ? ", so " : "，得") +
               equation_text(rest, e.letter, e.values[i], false);
  }
  return true;
}

std::string question_of(Rng& rng, Language language, const Drawn& e) {
  return fill(
      pick(rng, language,
           {"Solve {0}.", "Solve for {1}: {0}", "Solve the equation {0}.", "Find {1}: {0}",
            "If {0}, what is {1}?", "What is {1} if {0}?", "{0}, {1}=?", "Find {1} such that {0}.",
            "solve {0}", "{0}. Find {1}.", "{0}"},
           {"解方程：{0}", "解方程{0}", "解方程 {0}。", "求{1}：{0}", "如果{0}，那么{1}是多少？",
            "已知{0}，求{1}。", "{0}，{1}=？", "若{0}，{1}等于多少？", "方程{0}的解是多少？"}),
      {e.shown, std::string(1, e.letter)});
}

}  // namespace

std::optional<Puzzle> equation(Rng& rng, Language language, int steps) {
  const char letter = pick(rng, {"xxxxynat"})[rng.below(8)];
  const int x = number(rng, 1, chance(rng, 0.7) ? 20 : 60);
  const bool spaced = chance(rng, 0.5);
  std::optional<Drawn> e = steps == 3 && chance(rng, 0.3)
                               ? both_sides(rng, language, x, letter, spaced)
                               : nested(rng, x, letter, steps, spaced);
  if (!e || !undo_all(language, *e)) return {};
  Puzzle out;
  out.question = question_of(rng, language, *e);
  out.thinking = std::move(e->lines);
  const Layer& outer = e->layers.back();
  const size_t inner = e->layers.size() - 1;
  if (steps <= 2 && outer.op != 'm' && outer.op != '/') {
    if (const auto again = work(e->values[inner], outer.op, outer.n)) {
      out.check =
          fill(language == Language::kEnglish ? "Check: {0}." : "验算：{0}。", {again->text});
    }
  }
  out.gold = num(x);
  out.answer = fill(
      pick(rng, language,
           {"{0} = \\boxed{{{1}}}", "The answer is \\boxed{{{1}}}.", "So {0} is \\boxed{{{1}}}."},
           {"{0} = \\boxed{{{1}}}", "答案是\\boxed{{{1}}}。", "所以{0}是\\boxed{{{1}}}。"}),
      {std::string(1, letter), out.gold});
  out.steps = steps;
  return out;
}

}  // namespace ponder::reasoner
