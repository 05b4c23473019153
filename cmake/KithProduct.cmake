# SPDX-License-Identifier: Apache-2.0
# The product: one library made of all modules, and how others find it (find_package, FetchContent, pkg-config).
include_guard(GLOBAL)
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(kith_modules GLOBAL PROPERTY KITH_MODULES)
get_property(kith_links GLOBAL PROPERTY KITH_LINKS)
list(REMOVE_DUPLICATES kith_links)
# The modules' objects are compiled already: what is only headers (Boost, protozero) is of no concern to whoever links.
foreach(target IN LISTS kith_links)
  if(NOT target MATCHES "^(OpenSSL|PkgConfig|SQLite|Threads)::")
    list(REMOVE_ITEM kith_links "${target}")
  endif()
endforeach()

list(TRANSFORM kith_modules REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE kith_objects)
add_library(kith ${kith_objects})
add_library(kith::kith ALIAS kith)
set_target_properties(kith PROPERTIES LINKER_LANGUAGE CXX)
target_compile_features(kith PUBLIC cxx_std_20)
target_include_directories(kith PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(kith PRIVATE ${kith_links} Threads::Threads $<BUILD_INTERFACE:kith_warnings>)
if(BUILD_SHARED_LIBS)
  # The ABI may change with every minor version until 1.0. Only the public namespaces and the C API leave the library.
  set_target_properties(kith PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  if(NOT APPLE AND NOT WIN32 AND NOT KITH_SANITIZE)
    target_link_options(kith PRIVATE "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map")
    set_target_properties(kith PROPERTIES LINK_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/exports.map")
  endif()
endif()

install(TARGETS kith EXPORT kithTargets COMPONENT kith_development
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT kith_development NAMELINK_COMPONENT kith_development
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT kith_development)
install(DIRECTORY include/kith DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT kith_development FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
if(EXISTS "${PROJECT_SOURCE_DIR}/include/peertalk")
  install(DIRECTORY include/peertalk DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT kith_development FILES_MATCHING PATTERN "*.h")
endif()

set(kith_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kith)
install(EXPORT kithTargets NAMESPACE kith:: DESTINATION ${kith_cmake_dir} COMPONENT kith_development)
set(kith_is_static ON)
if(BUILD_SHARED_LIBS)
  set(kith_is_static OFF)
endif()
set(kith_needs_sqlite OFF)
set(kith_requires libcrypto libsodium)
if("SQLite::SQLite3" IN_LIST kith_links)
  set(kith_needs_sqlite ON)
  list(APPEND kith_requires sqlite3)
endif()
list(JOIN kith_requires " " kith_requires)
configure_package_config_file(cmake/kithConfig.cmake.in "${PROJECT_BINARY_DIR}/kithConfig.cmake" INSTALL_DESTINATION ${kith_cmake_dir})
write_basic_package_version_file("${PROJECT_BINARY_DIR}/kithConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/kithConfig.cmake" "${PROJECT_BINARY_DIR}/kithConfigVersion.cmake"
        DESTINATION ${kith_cmake_dir} COMPONENT kith_development)

file(RELATIVE_PATH kith_prefix_from_pc "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
configure_file(cmake/kith.pc.in "${PROJECT_BINARY_DIR}/kith.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/kith.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT kith_development)
