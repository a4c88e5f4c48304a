// @ts-check
// The shapes that the server speaks. For the type check only: no page loads this file.

/** @typedef {{code: string, message: string, field?: string | null}} Fault */

/**
 * @typedef {object} Me
 * @property {boolean} signed_in
 * @property {boolean} needs_password
 * @property {string} csrf
 * @property {Limits} limits
 * @property {boolean} shared_gallery
 * @property {boolean} clips whether it takes any
 * @property {{built_in: boolean, any: boolean, refine: boolean}} previews what quick ones there are
 * @property {string} version
 */

/**
 * @typedef {object} Limits
 * @property {number} upload_bytes
 * @property {number} upload_pixels
 * @property {number} clip_bytes
 * @property {number} clip_seconds
 * @property {number} max_size longest side of a result, px
 * @property {number} queue unfinished jobs of one person
 * @property {number | null} keep_days
 */

/** @typedef {{name: string, title: string, description: string, thumb: string}} Drawn */

/**
 * @typedef {object} Picture
 * @property {string} id
 * @property {"photo" | "style" | "mask" | "result" | "clip" | "film"} kind
 * @property {string} name
 * @property {"reading" | "ready" | "refused"} state
 * @property {Fault | null} fault
 * @property {number | null} width
 * @property {number | null} height
 * @property {string | null} sha256 of the file
 * @property {number | null} deleted
 */

/**
 * @typedef {object} Progress
 * @property {number} share from 0 to 1
 * @property {number} elapsed seconds
 * @property {number | null} remaining seconds
 * @property {number} level
 * @property {{width: number, height: number, evaluations: number}[]} levels
 * @property {number} evaluation
 * @property {number} evaluations_done
 * @property {number} width
 * @property {number} height
 * @property {number | null} loss
 * @property {number | null} [frames] of a clip
 * @property {number | null} [frames_done]
 * @property {number | null} version of the live picture
 */

/**
 * @typedef {object} JobRequest
 * @property {string} [title] what it is called for its owner alone where there is no label
 * @property {string} photo
 * @property {string[]} styles
 * @property {string[]} [masks]
 * @property {string[]} [style_masks]
 * @property {string | null} [fine]
 * @property {string | null} [start]
 * @property {string | null} [coarse]
 * @property {{engine?: "network" | "optimizer"}} [video] of a clip: how its frames are painted
 * @property {boolean} [refine] begin with what a quick preview shows
 * @property {Record<string, any>} options
 */

/** @typedef {"queued"|"running"|"paused"|"done"|"cancelled"|"failed"|"set_aside"} JobState */

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {string} label what its owner typed
 * @property {string} title what it is called for its owner alone without a label
 * @property {JobState} state
 * @property {Fault | null} fault
 * @property {number | null} place
 * @property {JobRequest} request
 * @property {string | null} wanted
 * @property {Progress | null} progress
 * @property {{id: string, width: number, height: number} | null} result
 * @property {number | null} strength that was asked for since; none: that of the request
 * @property {boolean} shared
 * @property {{code: string | null, message: string} | null} note what happened on the way, such as that it began anew
 * @property {number} created seconds since 1970, as are all times
 * @property {number | null} started
 * @property {number | null} finished
 * @property {number | null} deleted
 */

/**
 * A picture that somebody shows.
 * @typedef {object} Shared
 * @property {string} id of its job
 * @property {string} label
 * @property {string[]} styles
 */

/**
 * A field of the options' JSON schema.
 * @typedef {object} Field
 * @property {string} [type]
 * @property {string[]} [enum]
 * @property {Field[]} [anyOf]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [exclusiveMinimum]
 * @property {number} [exclusiveMaximum]
 * @property {string[]} [examples]
 * @property {string} [description]
 */

/**
 * @typedef {object} Options
 * @property {{properties: Record<string, Field>}} schema
 * @property {{name: string, fields: string[]}[]} groups
 * @property {Record<string, {options: Record<string, any>, description: string}>} presets
 * @property {{name: string, width_mm: number, height_mm: number}[]} papers
 * @property {Record<string, any>} defaults
 */

/**
 * What is different in a part of the picture.
 * @typedef {object} Region
 * @property {string | null} mask picture id; none: the rest of the picture
 * @property {boolean} keep leave the photo as it is
 * @property {number[]} styles numbers of the paintings, from 1; none: all
 * @property {number | null} strength none: that of the whole picture
 * @property {Record<string, any>} own options of its own that the page has no fields for
 */

/** A preset of the visitor's own. @typedef {{id: string, name: string, options: Record<string, any>}} OwnPreset */

/** @typedef {{source: string, share: number}} Painting */

export {};
