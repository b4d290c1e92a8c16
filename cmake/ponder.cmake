# One library and one test program per module.

find_package(fmt REQUIRED)
find_package(GTest REQUIRED)
find_package(Threads REQUIRED)
include(GoogleTest)

# Strict for our own code. No -ffast-math anywhere, and no contraction of a*b+c into an fma: every fused multiply-add is
# written as one, so that all instruction sets round alike (docs/numerics.md).
add_library(ponder_options INTERFACE)
target_compile_options(ponder_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Werror -ffp-contract=off)
target_include_directories(ponder_options INTERFACE ${CMAKE_SOURCE_DIR}/src)

# ponder_module(NAME DEPS module... [LIBS library...]): all of src/NAME/*.cc as the library ponder_NAME, all *_test.cc as the
# program NAME_test. DEPS are the modules it may include (tools/check_includes.py holds the sources to this list).
function(ponder_module name)
  cmake_parse_arguments(arg "" "" "DEPS;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/cpu/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  add_library(ponder_${name} STATIC ${sources})
  target_link_libraries(ponder_${name} PRIVATE ponder_options fmt::fmt ${arg_LIBS})
  foreach(dep ${arg_DEPS})
    target_link_libraries(ponder_${name} PUBLIC ponder_${dep})
  endforeach()
  if(tests)
    ponder_test(${name}_test SOURCES ${tests} LIBS ponder_${name} ${arg_LIBS})
  endif()
endfunction()

# ponder_test(NAME SOURCES file... LIBS library...): a GoogleTest program whose cases ctest lists one by one.
function(ponder_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ponder_options ${arg_LIBS} fmt::fmt GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE PONDER_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
endfunction()
