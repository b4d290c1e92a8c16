// The names that formulas are written with: functions, Greek letters, LaTeX commands. Of the lexer.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "eval/answer_lexer.h"

namespace ponder::commands {

inline constexpr std::array<std::string_view, 37> kFunctions = {
    "sqrt",   "sin",  "cos",   "tan",  "cot",  "sec",  "csc",   "arcsin", "arccos", "arctan",
    "arccot", "asin", "acos",  "atan", "sinh", "cosh", "tanh",  "log",    "ln",     "lg",
    "exp",    "abs",  "floor", "ceil", "gcd",  "lcm",  "max",   "min",    "binom",  "frac",
    "sum",    "prod", "int",   "lim",  "cbrt", "mod",  "choose"};

inline constexpr std::array<std::string_view, 32> kGreek = {
    "alpha", "beta",     "gamma", "delta",   "epsilon", "varepsilon", "zeta", "eta",
    "theta", "vartheta", "iota",  "kappa",   "lambda",  "mu",         "nu",   "xi",
    "rho",   "sigma",    "tau",   "upsilon", "phi",     "varphi",     "chi",  "psi",
    "omega", "Gamma",    "Delta", "Theta",   "Lambda",  "Sigma",      "Phi",  "Omega"};

// Commands that only set type or space. Their arguments, if any, are read as if they stood alone.
inline constexpr std::array<std::string_view, 41> kInvisible = {
    "left",           "right",    "big",       "Big",          "bigg",      "Bigg",   "bigl",
    "bigr",           "Bigl",     "Bigr",      "displaystyle", "textstyle", "limits", "nolimits",
    "quad",           "qquad",    "hfill",     "overline",     "vec",       "hat",    "bar",
    "overrightarrow", "widehat",  "tilde",     "underline",    "boxed",     "fbox",   "boldsymbol",
    "angle",          "triangle", "mathstrut", "enspace",      "thinspace", "middle", "circledast",
    "measuredangle",  "large",    "Large",     "bm",           "rm",        "bf"};

inline constexpr std::array<std::string_view, 14> kTextCommands = {
    "text",   "textbf", "textit", "textrm",       "textnormal", "mbox",   "mathrm",
    "mathbf", "mathit", "mathsf", "operatorname", "mathcal",    "texttt", "emph"};

struct Named {
  std::string_view name, text;
  Token::Type type;
};
inline constexpr Named kNamed[] = {{"cdot", "*", Token::Type::kSign},
                                   {"times", "*", Token::Type::kSign},
                                   {"div", "/", Token::Type::kSign},
                                   {"ast", "*", Token::Type::kSign},
                                   {"pm", "pm", Token::Type::kSign},
                                   {"mp", "mp", Token::Type::kSign},
                                   {"le", "<=", Token::Type::kSign},
                                   {"leq", "<=", Token::Type::kSign},
                                   {"leqslant", "<=", Token::Type::kSign},
                                   {"ge", ">=", Token::Type::kSign},
                                   {"geq", ">=", Token::Type::kSign},
                                   {"geqslant", ">=", Token::Type::kSign},
                                   {"lt", "<", Token::Type::kSign},
                                   {"gt", ">", Token::Type::kSign},
                                   {"ne", "!=", Token::Type::kSign},
                                   {"neq", "!=", Token::Type::kSign},
                                   {"approx", "~", Token::Type::kSign},
                                   {"sim", "~", Token::Type::kSign},
                                   {"equiv", "=", Token::Type::kSign},
                                   {"in", "in", Token::Type::kSign},
                                   {"cup", "cup", Token::Type::kSign},
                                   {"cap", "cap", Token::Type::kSign},
                                   {"setminus", "setminus", Token::Type::kSign},
                                   {"backslash", "setminus", Token::Type::kSign},
                                   {"colon", ":", Token::Type::kSign},
                                   {"mid", "|", Token::Type::kSign},
                                   {"lvert", "|", Token::Type::kSign},
                                   {"rvert", "|", Token::Type::kSign},
                                   {"vert", "|", Token::Type::kSign},
                                   {"land", "and", Token::Type::kSign},
                                   {"lor", "or", Token::Type::kSign},
                                   {"wedge", "and", Token::Type::kSign},
                                   {"vee", "or", Token::Type::kSign},
                                   {"lbrace", "set(", Token::Type::kSign},
                                   {"rbrace", "set)", Token::Type::kSign},
                                   {"langle", "(", Token::Type::kSign},
                                   {"rangle", ")", Token::Type::kSign},
                                   {"lbrack", "[", Token::Type::kSign},
                                   {"rbrack", "]", Token::Type::kSign},
                                   {"lfloor", "lfloor", Token::Type::kSign},
                                   {"rfloor", "rfloor", Token::Type::kSign},
                                   {"lceil", "lceil", Token::Type::kSign},
                                   {"rceil", "rceil", Token::Type::kSign},
                                   {"ldots", "...", Token::Type::kSign},
                                   {"cdots", "...", Token::Type::kSign},
                                   {"dots", "...", Token::Type::kSign},
                                   {"circ", "deg", Token::Type::kSign},
                                   {"degree", "deg", Token::Type::kSign},
                                   {"pi", "pi", Token::Type::kConstant},
                                   {"infty", "oo", Token::Type::kConstant},
                                   {"emptyset", "{}", Token::Type::kConstant},
                                   {"varnothing", "{}", Token::Type::kConstant},
                                   {"prime", "'", Token::Type::kSign},
                                   {"pounds", "pounds sterling", Token::Type::kWord},
                                   {"euro", "euro", Token::Type::kWord},
                                   {"yen", "yuan", Token::Type::kWord},
                                   {"dfrac", "frac", Token::Type::kFunction},
                                   {"tfrac", "frac", Token::Type::kFunction},
                                   {"cfrac", "frac", Token::Type::kFunction},
                                   {"dbinom", "binom", Token::Type::kFunction},
                                   {"tbinom", "binom", Token::Type::kFunction},
                                   {"choose", "choose", Token::Type::kSign},
                                   {"bmod", "mod", Token::Type::kSign},
                                   {"to", "to", Token::Type::kSign},
                                   {"rightarrow", "to", Token::Type::kSign}};

template <typename List>
bool contains(const List& list, std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

inline bool known_command(std::string_view name) {
  return contains(kFunctions, name) || contains(kGreek, name) || contains(kInvisible, name) ||
         contains(kTextCommands, name) || name == "mathbb" || name == "begin" || name == "end" ||
         std::any_of(std::begin(kNamed), std::end(kNamed),
                     [&](const Named& n) { return n.name == name; });
}

}  // namespace ponder::commands
